//! A server that behaves as ZITADEL does where client secrets are concerned.
