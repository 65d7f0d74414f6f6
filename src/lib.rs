//! Keeps the client secrets of ZITADEL API applications in Kubernetes Secrets.
