//! The end of a consent: what the authorization server sent back with the browser becomes a grant.

use aws_clients::SecretStage;
use oauth_client::consent::{self, AuthorizationResponse, Identity};
use oauth_client::token_request::{TokenAnswer, TokenFailure, TokenRequest};
use oauth_client::{Consent, ConsentError, NewGrant, TableError};
use registry::ConnectionName;
use secrecy::SecretString;

use crate::refusal::{self, Refusal};
use crate::target::{Party, Target};
use crate::{App, Visit};

/// A consent that has become a grant.
pub struct Connected {
    /// Whose it is.
    pub party: Party,
    /// Who consented, if the authorization server says.
    pub identity: Option<Identity>,
    /// There is no refresh token: the connection ends with its access token.
    pub without_refresh_token: bool,
}

impl Connected {
    /// `ok`, or the code of what is to be said of it.
    pub fn outcome(&self) -> &'static str {
        refusal::accepted(self.without_refresh_token)
    }
}

impl App {
    /// `GET /connect/callback?state=…&code=…`, or the same at another redirect URI. Once its state is known, the consent is
    /// used up, whatever comes of it.
    pub(crate) async fn callback(&self, visit: &mut Visit<'_>) -> Result<Connected, Refusal> {
        let response = AuthorizationResponse::parse(&visit.request.query)?;
        let state = response.state.as_ref().ok_or(Refusal::State)?;
        let consent = visit.timings.table(self.consents.consume(state, visit.now)).await;
        let consent = consent.map_err(|error| Refusal::unavailable(false, &error, visit.now))?.ok_or(Refusal::State)?;
        let registered = visit.timings.table(self.registry.connection(&consent.connection)).await;
        let registered =
            registered.map_err(|error| Refusal::unavailable(true, &error, visit.now))?.ok_or(Refusal::Outdated)?;
        let party = Party::of(&registered);
        visit.party = Some(party.clone());
        // Another authorization server than the one that was asked knows another redirect URI (RFC 9700 §4.4.2.2).
        if consent.redirect_uri != format!("{}{}", self.config.public_url.as_str(), visit.request.path) {
            return Err(Refusal::State);
        }

        let code_verifier = self.cookie.read(visit.request).ok_or(Refusal::OtherBrowser)?;
        if !consent::is_challenge_of(&consent.code_challenge, &code_verifier) {
            return Err(Refusal::OtherBrowser);
        }
        let target = Target::of(&registered, &self.config)?;
        if target.server.issuer != consent.issuer || target.redirect_uri != consent.redirect_uri {
            return Err(Refusal::Outdated);
        }
        consent::check_issuer(&target.server, response.iss.as_deref())?;
        let code = response.outcome.map_err(ConsentError::Refused)?;

        let secret = self.secret(&target, visit).await?;
        let answer = self.exchange(&target, secret.as_ref(), &code, &code_verifier, &consent, visit).await?;
        let identity = match self.identify(&target, &answer, &consent, visit).await {
            Ok(identity) => identity,
            Err(refusal) => {
                give_back(&target, secret.as_ref(), &answer, visit).await;
                return Err(refusal);
            }
        };
        let without_refresh_token = answer.refresh_token.is_none();
        let grant = NewGrant {
            refresh_token: answer.refresh_token,
            access_token: Some(answer.access_token),
            expires_at: answer.expires_at,
            unverified_instance_url: answer.unverified_instance_url,
            identity: answer.identity.or_else(|| identity.as_ref().map(|identity| identity.user.clone())),
        };
        let kept = visit.timings.table(self.grants.put(&target.connection, grant, visit.now)).await;
        // The line is written already.
        kept.map_err(|_| Refusal::Unavailable { begin_anew: true })?;
        Ok(Connected { party, identity, without_refresh_token })
    }

    async fn secret(&self, target: &Target, visit: &Visit<'_>) -> Result<Option<SecretString>, Refusal> {
        let Some(id) = &target.connection.secret_id else { return Ok(None) };
        let secret = visit.timings.table(self.config.secrets.get(id, SecretStage::Current)).await;
        let missing = Refusal::Misconfigured("its client secret or private key does not exist");
        secret
            .map_err(|error| Refusal::unavailable(true, &error, visit.now))?
            .map(|secret| Some(secret.value))
            .ok_or(missing)
    }

    async fn exchange(
        &self,
        target: &Target,
        secret: Option<&SecretString>,
        code: &SecretString,
        code_verifier: &SecretString,
        consent: &Consent,
        visit: &Visit<'_>,
    ) -> Result<TokenAnswer, Refusal> {
        let Target { connection, fetcher, .. } = target;
        let request = TokenRequest::for_code(connection, secret, code, &consent.redirect_uri, code_verifier, visit.now);
        let answer = async { request?.send(fetcher, &connection.token_endpoint, visit.now).await }.await;
        answer.map_err(|failure| match failure {
            TokenFailure::Refused(error) => Refusal::Consent(ConsentError::Refused(Some(error))),
            TokenFailure::Misconfigured(problem) => Refusal::Misconfigured(problem),
            TokenFailure::Unavailable(reason) | TokenFailure::NoAnswer(reason) => Refusal::Server(reason),
        })
    }

    /// Who consented: whoever did first, from then on.
    async fn identify(
        &self,
        target: &Target,
        answer: &TokenAnswer,
        consent: &Consent,
        visit: &Visit<'_>,
    ) -> Result<Option<Identity>, Refusal> {
        let identity = Identity::of(answer, &target.connection)?;
        self.pin(&consent.connection, identity.as_ref(), consent.new_user, visit).await?;
        Ok(identity)
    }

    async fn pin(
        &self,
        name: &ConnectionName,
        identity: Option<&Identity>,
        new_user: bool,
        visit: &Visit<'_>,
    ) -> Result<(), Refusal> {
        let unavailable = |error: TableError| Refusal::unavailable(true, &error, visit.now);
        // Somebody else may consent at the same time: who comes second is compared with who came first.
        for _ in 0..3 {
            let pinned = visit.timings.table(self.consents.pin(name)).await.map_err(unavailable)?;
            consent::check_identity(pinned.as_ref(), identity, new_user)?;
            let Some(identity) = identity.filter(|identity| pinned.as_ref() != Some(*identity)) else { return Ok(()) };
            let put = self.consents.put_pin(name, pinned.as_ref(), identity, visit.now);
            if visit.timings.table(put).await.map_err(unavailable)? {
                return Ok(());
            }
        }
        Err(Refusal::unavailable(true, &"who consented changes all the time", visit.now))
    }
}

/// Revokes tokens that are not kept, as far as that goes.
async fn give_back(target: &Target, secret: Option<&SecretString>, answer: &TokenAnswer, visit: &Visit<'_>) {
    let Some(revoke_url) = &target.revoke_url else { return };
    let (token, hint) = match &answer.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&answer.access_token, "access_token"),
    };
    if let Ok(request) = TokenRequest::for_revocation(&target.connection, secret, token, hint, visit.now) {
        let _ = request.revoke(&target.fetcher, revoke_url).await;
    }
}
