//! What service users authenticate with: what is not recorded, and the pace of the projection.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use client::{Answer, Client};
use serde_json::{Value, json};
use zitadel_simulator::{Lag, Role, Scope, Simulator, StandardWorld};

struct Setting {
    simulator: Simulator,
    world: StandardWorld,
    client: Client,
    /// `ORG_OWNER`, who may change users.
    owner: String,
}

fn start() -> Setting {
    let (simulator, world, client) = client::start();
    let owner = simulator.create_user(&world.org, "owner");
    simulator.grant(&owner, Role::OrgOwner, Scope::Org(world.org.clone()));
    let owner = simulator.create_pat(&owner).unwrap();
    Setting {
        simulator,
        world,
        client,
        owner,
    }
}

impl Setting {
    async fn v1(&self, method: &str, user: &str, rest: &str, body: Value) -> Answer {
        let url = format!("{}/management/v1/users/{user}{rest}", self.client.url);
        let request = self.client.http.request(method.parse().unwrap(), url);
        let request = request.bearer_auth(&self.owner).json(&body);
        client::read(request.send().await.unwrap()).await.unwrap()
    }

    async fn v2(&self, pat: &str, method: &str, body: Value) -> Answer {
        let url = format!("{}/zitadel.user.v2.UserService/{method}", self.client.url);
        let request = self.client.http.post(url).bearer_auth(pat).json(&body);
        client::read(request.send().await.unwrap()).await.unwrap()
    }

    async fn whoami(&self, pat: &str) -> u16 {
        let url = format!("{}/auth/v1/users/me", self.client.url);
        let request = self.client.http.get(url).bearer_auth(pat);
        request.send().await.unwrap().status().as_u16()
    }

    /// The error of the client credentials grant, or null.
    async fn signs_in(&self, user_name: &str, secret: &str) -> Value {
        let url = format!("{}/oauth/v2/token", self.client.url);
        let form = [("grant_type", "client_credentials"), ("scope", "openid")];
        let request = self.client.http.post(url).form(&form);
        let request = request.basic_auth(user_name, Some(secret));
        let answer = client::read(request.send().await.unwrap()).await.unwrap();
        answer.json["error_description"].clone()
    }

    fn lag(&self, lag: Lag) {
        self.simulator
            .configure(|settings| settings.projection_lag = lag);
    }
}

fn refusal(answer: &Answer) -> (u16, &str) {
    let detail = &answer.json["details"][0];
    let id = detail["id"]
        .as_str()
        .or_else(|| detail["debug"]["id"].as_str());
    (answer.status, id.unwrap_or_default())
}

#[tokio::test]
async fn a_new_token_works_and_a_removed_one_dies_when_the_projection_has_it() {
    let setting = start();
    let nobody = setting.world.nobody.id.as_str();
    setting.lag(Lag::Never);
    let made = setting.v1("POST", nobody, "/pats", json!({})).await.json;
    let pat = made["token"].as_str().unwrap();
    assert_eq!(setting.whoami(pat).await, 401);
    setting.simulator.force_projections();
    assert_eq!(setting.whoami(pat).await, 200);
    let path = format!("/pats/{}", made["tokenId"].as_str().unwrap());
    let removed = setting.v1("DELETE", nobody, &path, json!({})).await;
    assert_eq!(removed.status, 200);
    assert_eq!(setting.whoami(pat).await, 200);
    setting.simulator.force_projections();
    assert_eq!(setting.whoami(pat).await, 401);
    assert_eq!(setting.whoami(&setting.world.nobody.pat).await, 200);
}

#[tokio::test]
async fn a_secret_is_replaced_when_the_projection_has_it() {
    let setting = start();
    let nobody = setting.world.nobody.id.as_str();
    let set = async || {
        let made = setting.v1("PUT", nobody, "/secret", json!({})).await.json;
        made["clientSecret"].as_str().unwrap().to_owned()
    };
    let old = set().await;
    setting.lag(Lag::Never);
    let new = set().await;
    let invalid = "Errors.User.Machine.Secret.Invalid";
    assert_eq!(setting.signs_in("nobody", &old).await, Value::Null);
    assert_eq!(setting.signs_in("nobody", &new).await, invalid);
    setting.simulator.force_projections();
    assert_eq!(setting.signs_in("nobody", &old).await, invalid);
    assert_eq!(setting.signs_in("nobody", &new).await, Value::Null);

    setting.simulator.deactivate_user(nobody).unwrap();
    let inactive = setting.signs_in("nobody", &new).await;
    assert_eq!(inactive, "Errors.User.NotActive");
    let shown = setting.v1("GET", nobody, "", Value::Null).await.json;
    assert_eq!(shown["user"]["state"], "USER_STATE_INACTIVE");
    assert_eq!(shown["user"]["details"]["sequence"], "5");
}

#[tokio::test]
async fn a_key_lives_from_its_making_to_its_removal() {
    let setting = start();
    let operator = setting.world.operator.id.as_str();
    let key = setting.simulator.create_machine_key(operator).unwrap();
    let path = format!("/keys/{}", key.key_id);
    let found = async || setting.v1("GET", operator, &path, Value::Null).await;
    assert_eq!(found().await.json["key"]["id"], key.key_id);
    setting.simulator.remove_machine_key(&key.key_id);
    assert_eq!(refusal(&found().await), (404, "QUERY-Dgr3g"));
    let journal = setting
        .v1("POST", operator, "/changes/_search", json!({}))
        .await
        .json;
    let newest = journal["result"][0]["eventType"]["key"].as_str().unwrap();
    assert_eq!(newest, "EventTypes.user.machine.key.removed");
}

#[tokio::test]
async fn a_user_may_read_but_not_change_itself_over_v2() {
    let setting = start();
    let nobody = &setting.world.nobody;
    let body = || json!({"userId": nobody.id});
    let own = setting.v2(&nobody.pat, "GetUserByID", body()).await.json;
    assert_eq!(own["user"]["username"], "nobody");
    let filter = json!({"filters": [{"userIdFilter": {"id": nobody.id}}]});
    let pats = setting
        .v2(&nobody.pat, "ListPersonalAccessTokens", filter)
        .await
        .json;
    assert_eq!(pats["result"].as_array().unwrap().len(), 1);
    for method in ["AddSecret", "AddKey", "AddPersonalAccessToken"] {
        let refused = setting.v2(&nobody.pat, method, body()).await;
        assert_eq!(refusal(&refused), (404, "AUTHZ-cdgFk"), "{method}");
    }
    let other = json!({"userId": setting.world.operator.id});
    let refused = setting.v2(&nobody.pat, "GetUserByID", other).await;
    assert_eq!(refusal(&refused), (404, "AUTHZ-cdgFk"));
}

#[tokio::test]
async fn what_is_not_there_is_refused_by_name() {
    let setting = start();
    let nobody = setting.world.nobody.id.as_str();
    let none = || json!({});
    for (method, user, rest, refused) in [
        ("GET", "1", "", (404, "QUERY-Dfbg2")),
        ("DELETE", "1", "/secret", (400, "COMMAND-x7s802")),
        ("DELETE", nobody, "/secret", (400, "COMMAND-coi82n")),
        ("POST", "1", "/pats", (400, "COMMAND-Dggw2")),
        ("GET", nobody, "/pats/1", (404, "QUERY-fRunu")),
        ("DELETE", "1", "/keys/1", (404, "COMMAND-4m77G")),
        (
            "GET",
            setting.world.boss.id.as_str(),
            "",
            (404, "MANAG-fpo4B"),
        ),
    ] {
        let answer = setting.v1(method, user, rest, none()).await;
        assert_eq!(refusal(&answer), refused, "{method} {rest}");
    }
    let keys = setting
        .v1("POST", nobody, "/keys/_search", none())
        .await
        .json;
    assert_eq!(keys.get("result"), None);
    let journal = setting
        .v1("POST", "1", "/changes/_search", none())
        .await
        .json;
    assert_eq!(journal, none());
    let wrong = setting.v1("POST", nobody, "/secret", none()).await;
    assert_eq!(wrong.status, 405);
}
