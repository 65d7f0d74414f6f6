use super::*;

fn token_answer(number: usize, expires_in: i64) -> (u16, String) {
    let token = format!("token-{number}");
    let body = json!({"access_token": token, "token_type": "Bearer", "expires_in": expires_in});
    (200, body.to_string())
}

#[tokio::test]
async fn a_rejected_token_is_replaced_once_for_a_read() {
    let (address, log) = serve(|seen, number| {
        answer(match (seen.line.as_str(), seen.header("authorization")) {
            ("POST /oauth/v2/token", _) => token_answer(number, 3600),
            (_, Some("Bearer token-2")) => me(),
            _ => (401, String::new()),
        })
    })
    .await;
    let client = client(address, credential::tests::service_account_key());
    assert!(client.me().await.is_ok());
    assert_eq!(log.lock().len(), 4);
    assert!(client.me().await.is_ok());
    let log = log.lock();
    assert_eq!(log.len(), 5, "the second token is kept");
    assert!(
        log[0]
            .body
            .contains("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer")
    );
    assert!(log[0].body.contains("&assertion=ey"));
}

#[tokio::test]
async fn a_token_that_is_always_refused_is_not_replaced_for_ever() {
    let (address, log) = serve(|seen, number| {
        answer(match seen.line.as_str() {
            "POST /oauth/v2/token" => token_answer(number, 3600),
            _ => (401, String::new()),
        })
    })
    .await;
    let client = client(address, credential::tests::service_account_key());
    let error = client.me().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unauthenticated);
    assert_eq!(log.lock().len(), 4);
}

#[tokio::test]
async fn generate_is_not_repeated_on_401_but_the_next_one_has_a_new_token() {
    let refused = r#"{"code":16,"message":"x","details":[{"id":"AUTH-7fs1e"}]}"#;
    let (address, log) = serve(move |seen, number| {
        answer(match seen.line.as_str() {
            "POST /oauth/v2/token" => token_answer(number, 3600),
            _ => (401, refused.to_owned()),
        })
    })
    .await;
    let client = client(address, credential::tests::service_account_key());
    for requests in [2, 4] {
        let GenerateOutcome::NotExecuted(error) =
            client.generate(Kind::ApiApp, &app(), attempt()).await
        else {
            panic!("not refused");
        };
        assert_eq!(error.error_id(), Some("AUTH-7fs1e"));
        assert_eq!(log.lock().len(), requests);
    }
    let log = log.lock();
    assert_eq!(log[1].header("authorization"), Some("Bearer token-0"));
    assert_eq!(log[3].header("authorization"), Some("Bearer token-2"));
}

#[tokio::test]
async fn many_callers_ask_for_one_token() {
    let (address, log) = serve(|seen, number| {
        answer(match seen.line.as_str() {
            "POST /oauth/v2/token" => token_answer(number, 3600),
            _ => me(),
        })
    })
    .await;
    let client = client(address, credential::tests::service_account_key());
    let calls = (0..20).map(|_| client.me());
    assert!(
        futures::future::join_all(calls)
            .await
            .iter()
            .all(Result::is_ok)
    );
    let log = log.lock();
    let tokens = log.iter().filter(|seen| seen.line.contains("token"));
    assert_eq!(tokens.count(), 1);
}

#[tokio::test]
async fn a_token_without_a_lifetime_serves_one_call() {
    for expires_in in [0, -1] {
        let (address, log) = serve(move |seen, number| {
            answer(match seen.line.as_str() {
                "POST /oauth/v2/token" => token_answer(number, expires_in),
                _ => me(),
            })
        })
        .await;
        let client = client(address, credential::tests::service_account_key());
        assert!(client.me().await.is_ok() && client.me().await.is_ok());
        assert_eq!(log.lock().len(), 4);
    }
}

#[tokio::test]
async fn a_probe_escapes_the_credentials_and_sends_a_token_for_the_project() {
    let (address, log) = serve(|seen, number| {
        answer(match seen.line.as_str() {
            "POST /oauth/v2/token" => token_answer(number, 3600),
            _ => (200, r#"{"active":true}"#.to_owned()),
        })
    })
    .await;
    let client = client(address, credential::tests::service_account_key());
    let secret = ClientSecret::try_from("a%b+c d:ü").unwrap();
    let own = ProbeToken::Own(ProjectId::try_from("42").unwrap());
    let verdict = client.introspect("1@orders", &secret, own).await;
    assert_eq!(verdict, Ok(Introspection::Active));
    let verdict = client.introspect("1", &secret, ProbeToken::Junk).await;
    assert_eq!(verdict, Ok(Introspection::Active));
    let log = log.lock();
    assert_eq!(log.len(), 3);
    assert!(
        log[0]
            .body
            .ends_with("urn%3Azitadel%3Aiam%3Aorg%3Aproject%3Aid%3A42%3Aaud")
    );
    // base64("1%40orders:a%25b%2Bc+d%3A%C3%BC")
    let basic = "Basic MSU0MG9yZGVyczphJTI1YiUyQmMrZCUzQSVDMyVCQw==";
    assert_eq!(log[1].header("authorization"), Some(basic));
    assert_eq!(log[1].body, "token=token-0");
    assert!(!log[2].body.contains("token-"));
}

#[tokio::test]
async fn a_request_for_a_token_is_observed_on_its_own_whether_it_succeeds_or_not() {
    let (address, _) = serve(|seen, number| {
        answer(match (seen.line.as_str(), number) {
            ("POST /oauth/v2/token", 0) => (503, String::new()),
            ("POST /oauth/v2/token", _) => token_answer(number, 3600),
            _ => me(),
        })
    })
    .await;
    let calls = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&calls);
    let observer: Observer = Box::new(move |operation, error, _| {
        seen.lock().push((operation, error.is_none()));
    });
    let client = Client::new(ClientConfig {
        observer: Some(observer),
        ..config(address, credential::tests::service_account_key())
    })
    .unwrap();
    assert!(client.me().await.is_err());
    assert!(client.me().await.is_ok() && client.me().await.is_ok());
    assert_eq!(
        *calls.lock(),
        [
            (Operation::Token, false),
            (Operation::Me, false),
            (Operation::Token, true),
            (Operation::Me, true),
            (Operation::Me, true),
        ]
    );
}
