//! REGISTER as the brain handles it: who is it, is the answer right, what becomes of the table, and the answer once the
//! journal has it (`SIG-10`, `SEC-3`).

use crate::brain::{Switch, Waiting};
use crate::guard::RegisterBounds;
use crate::interface::{ControlReply, RegistrationState};
use crate::record::Record;
use crate::registrar::{self, Bounds, Registered, Registrant};
use crate::snapshot::Snapshot;
use sip::{Contacts, Registration, RegistrationAnswer};
use vocab::Now;
use vocab::leg::{CredentialsVerdict, StoredSecret};

/// Contacts of a gateway; a phone has a number of its own.
const GATEWAY_CONTACTS: usize = 4;

impl Switch {
    pub(crate) fn on_register(&mut self, now: Now, asked: &Registration) {
        if let Some(answer) = self.register(now, asked) {
            self.endpoint.answer_registration(now, asked.id, &answer);
        }
    }

    /// The answer, unless it waits for the disk.
    fn register(&mut self, now: Now, asked: &Registration) -> Option<RegistrationAnswer> {
        let ip = asked.flow.remote.ip();
        if self.guard.is_register_suspended(now.tick, ip, &asked.name) {
            return Some(RegistrationAnswer::Silence);
        }
        let who = match self.registrant(now, asked) {
            Ok(who) => who,
            Err(answer) => return Some(answer),
        };
        if asked.contacts != Contacts::Query && !self.journal_has_room() {
            return Some(RegistrationAnswer::Refused { status: 503, phrase: None });
        }
        let bounds = self.bounds(who);
        let registered = match self.registrar.update(now.utc, who, asked, bounds) {
            Ok(registered) => registered,
            Err(answer) => return Some(answer),
        };
        let answer = registrar::accepted(now.utc, &registered, asked);
        if asked.contacts == Contacts::Query {
            return Some(answer);
        }
        let waiting = Waiting::Registration(Box::new((asked.id, answer)));
        self.journal(Record::Registered(Box::new(registered)), Some(waiting));
        None
    }

    /// Who has proved to be who. Unknown names and wrong passwords look alike, in words and in time (`SEC-1`).
    fn registrant(&mut self, now: Now, asked: &Registration) -> Result<Registrant, RegistrationAnswer> {
        let snapshot = self.snapshot.clone();
        let challenge = |stale| Err(RegistrationAnswer::Challenge { realm: snapshot.realm.clone(), stale });
        let Some(credentials) = &asked.credentials else { return challenge(false) };
        let ip = asked.flow.remote.ip();
        let login = snapshot.login(credentials.username());
        let nobody = StoredSecret { ha1_md5: String::new(), ha1_sha256: String::new() };
        let verdict = credentials.verify(login.as_ref().map_or(&nobody, |login| login.secret));
        match (login, verdict) {
            (Some(login), CredentialsVerdict::Accepted) => {
                self.guard.register_accepted(now.tick, ip, &asked.name);
                // RFC 3261 §10.3 step 4: only for itself.
                let own = login.names.iter().any(|name| **name == *asked.name);
                let refused = RegistrationAnswer::Refused { status: 403, phrase: None };
                if own { Ok(login.who) } else { Err(refused) }
            }
            (Some(_), CredentialsVerdict::Stale) => challenge(true),
            _ => {
                let params = &snapshot.params;
                let bounds = RegisterBounds {
                    retry: params.endpoint_register_retry,
                    suspend_s: params.endpoint_register_suspend_s,
                };
                if params.endpoint_register_suspend {
                    self.guard.register_failed(now.tick, ip, &asked.name, bounds);
                }
                challenge(false)
            }
        }
    }

    fn bounds(&self, who: Registrant) -> Bounds {
        let params = &self.snapshot.params;
        let max_contacts = match who {
            Registrant::Phone(id) => self.snapshot.phone(id).map_or(1, |phone| phone.max_contacts),
            Registrant::MappingGateway(_) | Registrant::RoutingGateway(_) => GATEWAY_CONTACTS,
        };
        Bounds {
            expire_s: params.endpoint_expire_s,
            nat_expire_s: params.endpoint_nat_expire_s,
            replace: params.endpoint_register_replace,
            max_contacts,
        }
    }

    /// An operator takes a registration away; the device comes again when it likes.
    pub(crate) fn unregister(&mut self, id: crate::ControlId, who: Registrant) -> Option<ControlReply> {
        if !self.registrar.remove(who) {
            return Some(ControlReply::Refused("it is not registered".to_owned()));
        }
        let none = Registered { who, bindings: Vec::new() };
        self.journal(Record::Registered(Box::new(none)), Some(Waiting::Reply(id, ControlReply::Done)));
        None
    }

    pub(crate) fn registrations(&self, now: Now) -> Vec<RegistrationState> {
        let named = |registered: Registered| {
            let name = self.snapshot.registrant_name(registered.who)?;
            let mut bindings = registered.bindings;
            bindings.retain(|b| b.expires > now.utc);
            let calls = match registered.who {
                Registrant::Phone(id) => self.phone_calls(id),
                Registrant::MappingGateway(id) => self.meters.mapping(vocab::MappingGatewayId(id)).calls,
                Registrant::RoutingGateway(id) => self.meters.routing(vocab::RoutingGatewayId(id)).calls,
            };
            Some(RegistrationState { who: registered.who, name, bindings, calls })
        };
        self.registrar.all().into_iter().filter_map(named).collect()
    }

    /// Who is no more cannot be registered either.
    pub(crate) fn forget_unknown_registrants(&mut self, snapshot: &Snapshot) {
        self.registrar.retain(|who| snapshot.registrant_name(who).is_some());
    }
}
