{{/* The name of everything that has a namespace. */}}
{{- define "zso.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | replace "." "-" | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The operator's own namespace. */}}
{{- define "zso.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* The name of cluster-scoped objects: releases of the same name in two namespaces must not share them. */}}
{{- define "zso.clusterName" -}}
{{- $name := include "zso.fullname" . -}}
{{- $namespace := include "zso.namespace" . -}}
{{- if eq $name $namespace -}}
{{- $name -}}
{{- else -}}
{{- printf "%s-%s" $namespace $name -}}
{{- end -}}
{{- end -}}

{{- define "zso.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "zso.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: needed where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* What does not change from release to release. */}}
{{- define "zso.selectorLabels" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "zso.ownLabels" -}}
{{ include "zso.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "zso.labels" -}}
{{ include "zso.labelsAnd" (list . (dict)) }}
{{- end -}}

{{/* The labels of an object that takes some of its own: of (list $ labels). Each once; ours win, although the schema does not allow a conflict. */}}
{{- define "zso.labelsAnd" -}}
{{- $root := index . 0 -}}
{{- toYaml (merge (fromYaml (include "zso.ownLabels" $root)) (index . 1) $root.Values.commonLabels) -}}
{{- end -}}

{{/*
The image: by its digest, by its tag, or the one that the chart was released with. That is an annotation of the chart and not a default value,
since `helm upgrade --reuse-values` would keep the one of the older chart. A mirror in another registry has the same digest. Of any other
image only the version is known.
*/}}
{{- define "zso.image" -}}
{{- $released := default "" (index .Chart.Annotations "zitadel-secrets.dev/image") -}}
{{- with .Values.image -}}
{{- $name := .repository -}}
{{- $original := hasPrefix (printf "%s@" .repository) $released -}}
{{- with .registry -}}
{{- $name = printf "%s/%s" . $name -}}
{{- end -}}
{{- if .registry -}}
{{- $original = or $original (hasPrefix (printf "%s@" .repository) (regexReplaceAll "^[^/]*/" $released "")) -}}
{{- end -}}
{{- if .digest -}}
{{ $name }}@{{ .digest }}
{{- else if and (not .tag) $original -}}
{{ $name }}@{{ last (splitList "@" $released) }}
{{- else -}}
{{ $name }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "zso.subject" -}}
subjects:
- kind: ServiceAccount
  name: {{ include "zso.serviceAccountName" . }}
  namespace: {{ include "zso.namespace" . }}
{{- end -}}

{{/* Where the operator works, as flags. */}}
{{- define "zso.place" -}}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," (uniq .) }}
{{- end }}
{{- with .Values.controllerClass }}
- --controller-class={{ . }}
{{- end }}
{{- end -}}

{{/* What it may do about the Pods that use a credential. */}}
{{- define "zso.consumers" -}}
{{- if .Values.consumers.refresh }}
- --consumers-refresh=true
{{- end }}
{{- if .Values.consumers.restart }}
- --consumers-restart=true
{{- end }}
{{- end -}}

{{/* The operator's own namespace is asked of its pod, so that Kustomize can move everything into another one. */}}
{{- define "zso.ownNamespace" -}}
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- end -}}

{{/* How a pod resolves names. */}}
{{- define "zso.names" -}}
{{- with .Values.dnsPolicy }}
dnsPolicy: {{ . }}
{{- end }}
{{- with .Values.dnsConfig }}
dnsConfig:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.hostAliases }}
hostAliases:
{{- toYaml . | nindent 0 }}
{{- end }}
{{- end -}}

{{/* The definition in a file, with the annotation that keeps it when the release goes. */}}
{{- define "zso.definition" -}}
{{- regexReplaceAll "(?m)^metadata:$" . "metadata:\n  annotations:\n    helm.sh/resource-policy: keep" -}}
{{- end -}}

{{/* What the schema cannot say. */}}
{{- define "zso.validate" -}}
{{- with .Values.resources -}}
{{- if ne (toString .requests.memory) (toString .limits.memory) -}}
{{- fail "resources: requests.memory and limits.memory must be the same, because a process that is killed for memory takes a new credential with it" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics: enable serviceMonitor or podMonitor, not both: everything would be counted twice" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.service.enabled) -}}
{{- fail "metrics.serviceMonitor: needs service.enabled" -}}
{{- end -}}
{{- end -}}

{{/* The page to whose headings alerts link. Where the chart does not know its repository, the page's path there. */}}
{{- define "zso.runbook" -}}
{{- $page := "docs/how-to/alerts.md" -}}
{{- if .Values.metrics.prometheusRule.runbookUrl -}}
{{- .Values.metrics.prometheusRule.runbookUrl -}}
{{- else if .Chart.Home -}}
{{- printf "%s/blob/v%s/%s" (trimSuffix "/" .Chart.Home) .Chart.AppVersion $page -}}
{{- else -}}
{{- $page -}}
{{- end -}}
{{- end -}}
