#!/bin/sh
# Writes install.yaml and kustomization.yaml from the chart: here, or into the directory that is given.
set -eu
cd "$(dirname "$0")/.."
out=${1:-deploy}
helm=${ZSO_HELM:-target/helm/helm}
chart=${ZSO_CHART:-charts/zitadel-secret-operator}
name=zitadel-secret-operator
rendered=$(mktemp)
trap 'rm -f "$rendered"' EXIT
"$helm" template $name $chart --namespace $name --skip-tests >"$rendered"
version=$(sed -n 's/^appVersion: //p' $chart/Chart.yaml)

{
	cat <<-EOF
		# Everything but a connection: definitions, rights, the operator. Written by \`make deploy\` from the chart; not for editing.
		apiVersion: v1
		kind: Namespace
		metadata:
		  name: $name
		  labels:
		    pod-security.kubernetes.io/enforce: restricted
	EOF
	# What only concerns Helm is left out.
	sed -e '/^# Source: /d' \
		-e '/^ *helm\.sh\/chart: /d' \
		-e '/^ *app\.kubernetes\.io\/managed-by: Helm$/d' \
		-e '/^  annotations:$/{N;/\n    helm\.sh\/resource-policy: keep$/d;}' "$rendered"
} >"$out/install.yaml"

cat >"$out/kustomization.yaml" <<EOF
# Written by \`make deploy\`. Use it as a base and set newName to where the image is.
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
- install.yaml
images:
- name: $name
  newName: $name
  newTag: $version
EOF
