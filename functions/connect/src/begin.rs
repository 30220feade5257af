//! The begin of a consent: a ticket is used up, and the browser goes to the authorization server.

use bytes::Bytes;
use http::Response;
use oauth_client::Consent;
use oauth_client::consent;
use registry::ConnectionName;

use crate::refusal::Refusal;
use crate::target::{Party, Target};
use crate::{App, Visit, page};

impl App {
    /// `GET /connect/{name}?ticket=…`. Who has no ticket learns nothing of what is registered.
    pub(crate) async fn begin(&self, name: &str, visit: &mut Visit<'_>) -> Result<Response<Bytes>, Refusal> {
        let name = ConnectionName::parse(name).ok_or(Refusal::Link)?;
        let ticket = consent::once(&visit.request.query, "ticket").ok().flatten().ok_or(Refusal::Link)?;
        let registered = visit.timings.table(self.registry.connection(&name)).await;
        let registered =
            registered.map_err(|error| Refusal::unavailable(false, &error, visit.now))?.ok_or(Refusal::Link)?;
        let ticket = visit.timings.table(self.tickets.consume(&name, &ticket, visit.now)).await;
        let ticket = ticket.map_err(|error| Refusal::unavailable(false, &error, visit.now))?.ok_or(Refusal::Link)?;
        visit.party = Some(Party::of(&registered));

        let target = Target::of(&registered, &self.config)?;
        let (Some(state), Some(code_verifier)) = (consent::random_secret(), consent::random_secret()) else {
            return Err(Refusal::unavailable(true, &"the crypto library failed", visit.now));
        };
        let consent = Consent {
            connection: name,
            code_challenge: consent::code_challenge(&code_verifier),
            issuer: target.server.issuer.clone(),
            redirect_uri: target.redirect_uri.clone(),
            new_user: ticket.new_user,
        };
        let begun = visit.timings.table(self.consents.begin(&state, &consent, visit.now)).await;
        begun.map_err(|error| Refusal::unavailable(true, &error, visit.now))?;
        let url = consent::authorization_url(
            &target.server,
            &target.connection,
            &consent.redirect_uri,
            &state,
            &consent.code_challenge,
        );
        let redirect = page::redirect(&url).ok_or(Refusal::Misconfigured("its authorization URL cannot be sent"))?;
        Ok(self.cookie.set(redirect, &code_verifier))
    }
}
