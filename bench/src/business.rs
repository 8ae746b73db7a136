//! Made-up decks of rates and routes of the size and shape of real ones: some 200 countries, codes of up to ten
//! digits, long ones far more often than short ones.

use billing::ledger::{AccountTerms, PaymentMode};
use billing::rate::{Rate, RateGroup, RateTable, RateTableBuilder, Validity};
use billing::{Percent, Zone};
use routing::{Gateway, Guards, Rewriting, Terms};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use switch::snapshot::{Authentication, CalledSource, CallerSource, Calling, Lists, Quotas};
use switch::{Account, MappingGateway, RoutingGateway};
use vocab::leg::{ReplyAddress, RequestAddress};
use vocab::net::Cidr;
use vocab::{
    AccountId, Currency, MappingGatewayId, Money, Price, Random, RateGroupId, RoutingGatewayId, Transport,
};

/// A code as a number: four bits a digit (plus one, so that 0 ends it), left-aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub u64);

/// Codes and numbers have no more digits than a [`Code`] can hold.
pub const MOST_DIGITS: u32 = 15;

impl Code {
    pub fn of(digits: &str) -> Code {
        Code(digits.bytes().zip(0..16).fold(0, |code, (b, i)| code | u64::from(b - b'0' + 1) << (60 - 4 * i)))
    }

    pub fn length(self) -> u32 {
        (64 - self.0.trailing_zeros()).div_ceil(4)
    }

    pub fn cut(self, length: u32) -> Code {
        if length == 0 { Code(0) } else { Code(self.0 & u64::MAX << (64 - 4 * length)) }
    }

    /// Writes the digits behind `text`.
    pub fn push_to(self, text: &mut String) {
        let digit = |i: u32| (self.0 >> (60 - 4 * i)) & 15;
        text.extend(
            (0..self.length())
                .filter_map(|i| char::from_digit(u32::try_from(digit(i)).ok()?.checked_sub(1)?, 10)),
        );
    }
}

fn digits(random: &mut Random, count: u64, text: &mut String) {
    for _ in 0..count {
        text.extend(char::from_digit(u32::try_from(random.below(10)).unwrap_or(0), 10));
    }
}

/// This many different codes, sorted.
pub fn codes(count: usize, seed: u64) -> Vec<Code> {
    let mut random = Random::from_number(seed);
    let mut found = Vec::with_capacity(count + count / 8);
    let mut text = String::new();
    while found.len() < count {
        while found.len() < count + count / 16 {
            text.clear();
            let country = random.below(200);
            text += &(if country < 10 { 20 + country } else { 210 + country * 3 }).to_string();
            let more = match random.below(100) {
                0..2 => 2,
                2..8 => 3,
                8..22 => 4,
                22..50 => 5,
                50..80 => 6,
                _ => 7,
            };
            digits(&mut random, more, &mut text);
            found.push(Code::of(&text));
        }
        found.sort_unstable();
        found.dedup();
    }
    // Dropped evenly, so that no country is left out.
    let excess = found.len() - count;
    let every = found.len().checked_div(excess).unwrap_or(usize::MAX);
    let mut dropped = 0;
    let mut i = 0;
    found.retain(|_| {
        i += 1;
        let drop = i % every == 0 && dropped < excess;
        dropped += usize::from(drop);
        !drop
    });
    found.truncate(count);
    found
}

/// Dialled numbers of 13 digits that begin with some of these codes, one after the other in one text.
pub struct Numbers(String);

const NUMBER: usize = 13;

impl Numbers {
    pub fn below(codes: &[Code], count: usize, seed: u64) -> Numbers {
        let mut random = Random::from_number(seed);
        let mut text = String::with_capacity(count * NUMBER);
        for i in 1..=count {
            let pick = usize::try_from(random.below(codes.len() as u64)).unwrap_or(0);
            codes[pick].push_to(&mut text);
            digits(&mut random, (i * NUMBER - text.len()) as u64, &mut text);
        }
        Numbers(text)
    }

    pub fn get(&self, i: usize) -> &str {
        self.0.get(i * NUMBER..(i + 1) * NUMBER).unwrap_or_default()
    }

    pub fn count(&self) -> usize {
        self.0.len() / NUMBER
    }
}

/// The rate of a code: few distinct ones over many codes, as in real decks.
pub fn rate(code: Code, markup: u64) -> Rate {
    let area = (code.0 >> 52) % 200;
    Rate {
        area: format!("Destination {area}").into(),
        price_per_minute: Price(i64::try_from((100 + area + markup) * 1_000_000).unwrap_or(0)),
        first_period_s: 1,
        first_period_price: None,
        cycle_s: 1,
        connection_fee: Money::ZERO,
        minimum_charge: Money::ZERO,
        free_seconds: 0,
        locked: false,
        level: None,
        sections: [].into(),
    }
}

pub fn deck(codes: impl IntoIterator<Item = Code>, markup: u64) -> Result<RateTable, String> {
    let mut builder = RateTableBuilder::default();
    let mut text = String::new();
    for code in codes {
        text.clear();
        code.push_to(&mut text);
        builder.add(&text, Validity::default(), rate(code, markup)).map_err(|e| e.to_string())?;
    }
    Ok(builder.build())
}

// ------------------------------------------------------------------------------------- parts of a configuration

pub const CUSTOMER: AccountId = AccountId(1_000);
pub const TRUNK: MappingGatewayId = MappingGatewayId(1);
/// Where the customer calls from, and where all vendors are.
pub const CUSTOMER_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 10)), 5060);
pub const VENDOR_AT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 5060);

pub fn account(id: AccountId, name: String, group: RateGroupId) -> Arc<Account> {
    Arc::new(Account {
        id,
        name: name.into(),
        terms: AccountTerms { currency: Currency::USD, payment: PaymentMode::Prepaid, credit_limit: None },
        rate_group: Some(group),
        private_rates: None,
        locked: false,
        valid_until: None,
        anti_overdraft: true,
        max_concurrency: Some(1_000_000),
        max_cps: Some(1_000_000),
        max_call_duration_s: None,
        agent: None,
        quotas: Quotas::default(),
        zone: Arc::new(Zone::utc()),
        tax_rate: Percent::ZERO,
        lists: Lists::default(),
    })
}

pub fn gateway(id: u32, prefixes: Vec<String>) -> Gateway {
    Gateway {
        id: RoutingGatewayId(id),
        name: format!("vendor-{id}-1").into(),
        account: AccountId(id),
        enabled: true,
        prefixes,
        priority: 1 + id % 10,
        max_concurrency: Some(1_000),
        max_cps: Some(1_000),
        guards: Guards { lowest_profit_per_minute: Some(Price(-1_000_000_000_000)), ..Guards::default() },
        terms: Terms::default(),
    }
}

pub fn routing_gateway(route: Arc<Gateway>) -> Arc<RoutingGateway> {
    Arc::new(RoutingGateway {
        route,
        login: None,
        registration: None,
        check_interval_s: 0,
        phone: None,
        target: Some(VENDOR_AT),
        host: None,
        transport: Transport::Udp,
        rate_group: None,
        credentials: None,
        failover_codes: None,
        follow_redirects: false,
        rewriting: Rewriting::default(),
        identity: Default::default(),
        scheduled: Vec::new(),
        lists: Lists::default(),
        rate_rewritten: false,
        reply_address: ReplyAddress::Socket,
        request_address: RequestAddress::Socket,
        params: Arc::default(),
    })
}

pub fn rate_group(id: u32, table: Arc<RateTable>) -> (RateGroupId, Arc<RateGroup>) {
    let id = RateGroupId(id);
    (id, Arc::new(RateGroup::new(id, &format!("deck-{id}"), Currency::USD, table)))
}

pub fn trunk() -> Arc<MappingGateway> {
    Arc::new(MappingGateway {
        id: TRUNK,
        name: "customer-pbx".into(),
        account: CUSTOMER,
        enabled: true,
        authentication: Authentication::Ip(vec![Cidr { address: CUSTOMER_AT.ip(), length: 32 }]),
        called_prefixes: Vec::new(),
        caller_source: CallerSource::From,
        called_source: CalledSource::RequestUri,
        support_privacy: false,
        rewriting: Rewriting::default(),
        reply_address: ReplyAddress::Socket,
        request_address: RequestAddress::Socket,
        max_concurrency: Some(1_000_000),
        max_cps: Some(1_000_000),
        rate_group: None,
        call_level: None,
        calling: Calling::default(),
        params: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Utc;

    #[test]
    fn codes_are_packed_and_written() {
        for text in ["880", "1", "000", "123456789012345"] {
            let code = Code::of(text);
            let mut out = String::new();
            code.push_to(&mut out);
            assert_eq!((out.as_str(), code.length()), (text, u32::try_from(text.len()).unwrap()));
        }
        assert_eq!(Code::of("8801").cut(2), Code::of("88"));
        assert_eq!(Code::of("8801").cut(0), Code(0));
    }

    #[test]
    fn codes_are_many_and_different() {
        let all = codes(10_000, 1);
        assert_eq!(all.len(), 10_000);
        assert!(all.windows(2).all(|w| w[0] < w[1]));
        let numbers = Numbers::below(&all, 100, 2);
        let table = deck(all.iter().copied(), 0).unwrap();
        assert!((0..numbers.count()).all(|i| {
            table.at(vocab::prefix::Packed::of(numbers.get(i)), Utc(0), &billing::Zone::utc()).is_some()
        }));
    }
}
