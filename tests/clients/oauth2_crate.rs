//! The `oauth2` crate, with an HTTP client that hands its requests on as they are.

use black_box::shared;
use oauth2::basic::BasicClient;
use oauth2::{AuthType, ClientId, ClientSecret, HttpRequest, HttpResponse, Scope, TokenResponse, TokenUrl};
use reqwest::Client;
use serde_json::json;

use crate::order_1001;

#[tokio::test]
async fn the_oauth2_crate_gets_a_token_with_its_secret_by_basic() {
    gets_a_token("client_secret_basic", AuthType::BasicAuth).await;
}

#[tokio::test]
async fn the_oauth2_crate_gets_a_token_with_its_secret_in_the_body() {
    gets_a_token("client_secret_post", AuthType::RequestBody).await;
}

#[tokio::test]
async fn the_oauth2_crate_with_a_wrong_secret_understands_that_it_is_refused() {
    for auth_type in [AuthType::BasicAuth, AuthType::RequestBody] {
        let (client_id, _) = shared().new_client(&[]);
        let error = token(&client_id, "wrong", auth_type).await.unwrap_err();
        assert!(error.contains("invalid_client"), "{error}");
    }
}

async fn gets_a_token(method: &str, auth_type: AuthType) {
    let (client_id, client_secret) = shared().new_client(&["--auth-method", method]);
    let token = token(&client_id, &client_secret, auth_type).await.unwrap();
    let result = shared().call(&token, "get_order_status", json!({ "order_id": "1001" })).await;
    assert_eq!(result["structuredContent"], order_1001(), "{result}");
}

/// A token, or the crate's error for people.
async fn token(client_id: &str, client_secret: &str, auth_type: AuthType) -> Result<String, String> {
    let client = BasicClient::new(ClientId::new(client_id.to_owned()))
        .set_client_secret(ClientSecret::new(client_secret.to_owned()))
        .set_auth_type(auth_type)
        .set_token_uri(TokenUrl::new(format!("{}/token", shared().url)).unwrap());
    let request = client.exchange_client_credentials().add_scope(Scope::new("mcp.read".to_owned()));
    let http = Client::builder().pool_max_idle_per_host(0).build().unwrap();
    let answer = request.request_async(&|request: HttpRequest| send(http.clone(), request)).await;
    let answer = answer.map_err(|error| format!("{error:?}"))?;
    assert_eq!(answer.expires_in().map(|lifetime| lifetime.as_secs()), Some(900));
    assert_eq!(answer.scopes().map(|scopes| scopes.len()), Some(1));
    Ok(answer.access_token().secret().clone())
}

async fn send(http: Client, request: HttpRequest) -> Result<HttpResponse, reqwest::Error> {
    let response = http.execute(request.try_into()?).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}
