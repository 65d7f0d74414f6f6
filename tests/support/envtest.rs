//! etcd and kube-apiserver from a directory such as setup-envtest makes; no controllers.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use k8s_openapi::ByteString;
use serde_json::json;

use super::controlplane::Options;

const TOKEN: &str = "admin-of-a-test";

pub struct Envtest {
    assets: PathBuf,
    dir: PathBuf,
    options: Options,
    ports: [u16; 3],
    processes: Vec<Child>,
}

impl Envtest {
    pub fn start(assets: &Path, dir: &Path, options: Options) -> Self {
        let ports = free_ports();
        let mut envtest = Self {
            assets: assets.to_owned(),
            dir: dir.to_owned(),
            options,
            ports,
            processes: Vec::new(),
        };
        fs::write(
            dir.join("tokens.csv"),
            format!("{TOKEN},admin,admin,system:masters\n"),
        )
        .unwrap();
        fs::write(dir.join("service-account.key"), new_key()).unwrap();
        fs::write(
            dir.join("audit-policy.yaml"),
            r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","omitStages":["RequestReceived"],"rules":[{"level":"Metadata"}]}"#,
        )
        .unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "envtest",
            "clusters": [{"name": "envtest", "cluster": {
                "server": format!("https://127.0.0.1:{}", ports[2]), "insecure-skip-tls-verify": true,
            }}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "envtest", "context": {"cluster": "envtest", "user": "admin"}}],
        });
        fs::write(
            envtest.kubeconfig(),
            serde_json::to_vec(&kubeconfig).unwrap(),
        )
        .unwrap();
        envtest.run();
        envtest
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    pub fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    pub fn kubectl(&self) -> PathBuf {
        self.assets.join("kubectl")
    }

    /// Starts both programs and waits until the API server is ready.
    pub fn run(&mut self) {
        let dir = self.dir.display();
        let [client, peer, secure] = self.ports;
        let mut etcd = vec![
            format!("--data-dir={dir}/etcd"),
            format!("--listen-client-urls=http://127.0.0.1:{client}"),
            format!("--advertise-client-urls=http://127.0.0.1:{client}"),
            format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        ];
        if !self.options.fsync {
            etcd.push("--unsafe-no-fsync".into());
        }
        let mut server = vec![
            format!("--etcd-servers=http://127.0.0.1:{client}"),
            format!("--secure-port={secure}"),
            format!("--cert-dir={dir}/certificates"),
            format!("--token-auth-file={dir}/tokens.csv"),
            format!("--service-account-key-file={dir}/service-account.key"),
            format!("--service-account-signing-key-file={dir}/service-account.key"),
        ];
        server.extend(
            [
                "--bind-address=127.0.0.1",
                "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
                "--service-cluster-ip-range=10.96.0.0/24",
                "--authorization-mode=RBAC",
                "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
                "--enable-priority-and-fairness=false",
            ]
            .map(String::from),
        );
        if self.options.audit {
            server.push(format!("--audit-policy-file={dir}/audit-policy.yaml"));
            server.push(format!("--audit-log-path={dir}/audit.log"));
        }
        self.spawn("etcd", &etcd);
        self.spawn("kube-apiserver", &server);
        self.wait_until_ready();
    }

    /// Ends both programs with SIGKILL.
    pub fn kill(&mut self) {
        for mut process in self.processes.drain(..) {
            drop(process.stdin.take());
            process.wait().unwrap();
        }
    }

    /// Starts a program under a shell that kills it when our end of the pipe closes, be it because we ended.
    fn spawn(&mut self, program: &str, args: &[String]) {
        let log = fs::File::create(self.dir.join(format!("{program}.log"))).unwrap();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            r#""$@" & child=$!; cat >/dev/null; kill -9 $child; wait $child"#,
            "sh",
        ]);
        command
            .arg(self.assets.join(program))
            .args(args)
            .current_dir(&self.dir);
        command
            .stdin(Stdio::piped())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.processes.push(command.spawn().unwrap());
    }

    fn wait_until_ready(&self) {
        let begin = Instant::now();
        loop {
            let mut command = Command::new(self.kubectl());
            command
                .args(["get", "--raw=/readyz"])
                .env("KUBECONFIG", self.kubeconfig());
            if command.output().unwrap().status.success() {
                return;
            }
            if begin.elapsed() > Duration::from_mins(1) {
                let log = fs::read_to_string(self.dir.join("kube-apiserver.log")).unwrap();
                let last: Vec<_> = log.lines().rev().take(5).collect();
                panic!(
                    "no API server after a minute; the end of its log, last line first: {last:#?}"
                );
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Ports that were free a moment ago; they stay the same over a restart.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// A key that kube-apiserver signs service account tokens with, in PEM.
fn new_key() -> String {
    let key = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = key.as_der().unwrap();
    let base64 = serde_json::to_string(&ByteString(der.as_ref().to_vec())).unwrap();
    format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        base64.trim_matches('"')
    )
}
