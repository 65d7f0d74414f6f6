//! What the tutorial finds in `target/tutorial`: also written by the test that runs the tutorial's commands.

/// Where everything is.
pub struct Inputs<'a> {
    /// The directory of kubectl.
    pub kubectl: &'a str,
    /// The directory of the operator's binary.
    pub operator: &'a str,
    /// The administrator's kubeconfig.
    pub kubeconfig: &'a str,
    /// ZITADEL's URL.
    pub issuer: &'a str,
    /// The organization, the project and the application.
    pub organization: &'a str,
    /// The project.
    pub project: &'a str,
    /// The application.
    pub app: &'a str,
    /// The token of a user who calls the API.
    pub token: &'a str,
}

/// The files by their names. The service user's key is another one: `key.json`.
pub fn files(inputs: &Inputs<'_>) -> [(&'static str, String); 3] {
    let Inputs {
        kubectl,
        operator,
        kubeconfig,
        issuer,
        organization,
        project,
        app,
        token,
    } = inputs;
    let environment = format!(
        "export PATH='{kubectl}':'{operator}':\"$PATH\"
export KUBECONFIG='{kubeconfig}'
export ISSUER='{issuer}'
export TOKEN='{token}'
"
    );
    let connection = format!(
        "apiVersion: zitadel-secrets.dev/v1alpha1
kind: ZitadelConnection
metadata:
  name: default
spec:
  url: {issuer}
  auth:
    serviceAccountKey:
      secretKeyRef:
        name: zitadel-key
        key: key.json
  organizationId: \"{organization}\"
  grants:
  - name: orders
    namespaces: [orders]
    projectIds: [\"{project}\"]
"
    );
    let object = format!(
        "apiVersion: zitadel-secrets.dev/v1alpha1
kind: ApiAppSecret
metadata:
  name: orders-api
  namespace: orders
spec:
  projectId: \"{project}\"
  appId: \"{app}\"
  standby:
    type: Provisioned
  rotation:
    interval: 30d
"
    );
    [
        ("env", environment),
        ("connection.yaml", connection),
        ("orders-api.yaml", object),
    ]
}
