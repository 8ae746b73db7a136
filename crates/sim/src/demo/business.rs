//! The example business as a file for `tandem apply`.

use std::fmt::Write;
use std::net::SocketAddr;

/// A customer with one trunk.
#[derive(Clone, Copy, Debug)]
pub struct Customer {
    pub name: &'static str,
    /// Lines of the account.
    account: &'static str,
    /// Signs in with a password instead of by address and port.
    pub password: Option<(&'static str, &'static str)>,
    /// Share of the calls, in hundredths.
    pub share: u64,
    /// Sold to it at this many hundredths of the list price.
    price_percent: u64,
    /// First period and cycle.
    periods: (u32, u32),
}

/// A vendor with one trunk.
#[derive(Clone, Copy, Debug)]
pub struct Vendor {
    pub name: &'static str,
    pub priority: u32,
    /// Bought from it at this many hundredths of the list price.
    price_percent: u64,
    pub max_concurrency: u32,
    /// Of its calls, in hundredths, these fail with 503.
    pub failing: u64,
    /// Only the first so many destinations.
    destinations: usize,
}

pub const CUSTOMERS: &[Customer] = &[
    Customer {
        name: "acme-telecom",
        account: "payment = \"prepaid\"\nopening_balance = \"250.00\"\ncredit_limit = \"0\"",
        password: None,
        share: 45,
        price_percent: 100,
        periods: (60, 6),
    },
    Customer {
        name: "globex-voice",
        account: "payment = \"postpaid\"\ncredit_limit = \"500.00\"",
        password: None,
        share: 35,
        price_percent: 92,
        periods: (1, 1),
    },
    Customer {
        name: "initech-callshop",
        account: "payment = \"prepaid\"\nopening_balance = \"3.00\"\ncredit_limit = \"0\"",
        password: Some(("initech", "callshop-demo")),
        share: 20,
        price_percent: 130,
        periods: (60, 60),
    },
];

pub const VENDORS: &[Vendor] = &[
    Vendor {
        name: "budget-routes",
        priority: 1,
        price_percent: 55,
        max_concurrency: 12,
        failing: 40,
        destinations: 8,
    },
    Vendor {
        name: "atlantic-carrier",
        priority: 2,
        price_percent: 62,
        max_concurrency: 60,
        failing: 2,
        destinations: 12,
    },
    Vendor {
        name: "pacific-carrier",
        priority: 2,
        price_percent: 66,
        max_concurrency: 60,
        failing: 4,
        destinations: 12,
    },
    Vendor {
        name: "northern-reserve",
        priority: 5,
        price_percent: 85,
        max_concurrency: 200,
        failing: 0,
        destinations: 12,
    },
];

/// A destination: prefix, name, list price a minute in 10⁻⁴, length of numbers, share of the calls.
#[derive(Clone, Copy, Debug)]
pub struct Destination {
    pub prefix: &'static str,
    area: &'static str,
    price: u64,
    pub digits: usize,
    pub share: u64,
}

pub const DESTINATIONS: &[Destination] = &[
    Destination { prefix: "880", area: "Bangladesh", price: 320, digits: 13, share: 16 },
    Destination {
        prefix: "88017",
        area: "Bangladesh mobile Grameenphone",
        price: 360,
        digits: 13,
        share: 14,
    },
    Destination { prefix: "91", area: "India", price: 180, digits: 12, share: 14 },
    Destination { prefix: "92", area: "Pakistan", price: 480, digits: 12, share: 9 },
    Destination { prefix: "44", area: "United Kingdom", price: 120, digits: 12, share: 8 },
    Destination { prefix: "447", area: "United Kingdom mobile", price: 290, digits: 12, share: 7 },
    Destination { prefix: "1", area: "United States and Canada", price: 90, digits: 11, share: 9 },
    Destination { prefix: "52", area: "Mexico", price: 160, digits: 12, share: 6 },
    Destination { prefix: "49", area: "Germany", price: 140, digits: 12, share: 5 },
    Destination { prefix: "33", area: "France", price: 130, digits: 11, share: 4 },
    Destination { prefix: "971", area: "United Arab Emirates", price: 1450, digits: 12, share: 4 },
    Destination { prefix: "86", area: "China", price: 210, digits: 13, share: 4 },
];

/// Where the demo's peers have their sockets.
#[derive(Clone, Debug)]
pub struct Places {
    /// One for each of [`CUSTOMERS`].
    pub customers: Vec<SocketAddr>,
    /// One for each of [`VENDORS`].
    pub vendors: Vec<SocketAddr>,
}

/// The business as text of a configuration file.
pub fn business(places: &Places) -> String {
    let mut text = String::from(
        "# The business of `tandem demo`: three customers, four vendors, a dozen destinations.\n",
    );
    for (customer, place) in CUSTOMERS.iter().zip(&places.customers) {
        write_customer(&mut text, customer, *place);
    }
    for (vendor, place) in VENDORS.iter().zip(&places.vendors) {
        write_vendor(&mut text, vendor, *place);
    }
    text
}

fn write_customer(text: &mut String, customer: &Customer, place: SocketAddr) {
    let Customer { name, account, .. } = customer;
    let _ = write!(
        text,
        "\n[[account]]\nname = \"{name}\"\nkind = \"customer\"\ncurrency = \"USD\"\nrate_group = \"{name}\"\n{account}\n"
    );
    write_rates(text, name, customer.price_percent, customer.periods, DESTINATIONS.len());
    let _ = write!(text, "\n[[mapping_gateway]]\nname = \"{name}-trunk\"\naccount = \"{name}\"\n");
    let _ = match customer.password {
        Some((user, password)) => {
            writeln!(text, "authentication = \"password\"\nusername = \"{user}\"\npassword = \"{password}\"")
        }
        None => writeln!(text, "authentication = \"ip-port\"\naddresses = [\"{place}\"]"),
    };
    text.push_str("max_cps = 20\nmax_concurrency = 200\n");
}

fn write_vendor(text: &mut String, vendor: &Vendor, place: SocketAddr) {
    let name = vendor.name;
    let _ = write!(
        text,
        "\n[[account]]\nname = \"{name}\"\nkind = \"vendor\"\ncurrency = \"USD\"\nrate_group = \"{name}\"\n"
    );
    write_rates(text, name, vendor.price_percent, (1, 1), vendor.destinations);
    let prefixes: Vec<String> =
        DESTINATIONS.iter().take(vendor.destinations).map(|d| format!("\"{}\"", d.prefix)).collect();
    let _ = write!(
        text,
        "\n[[routing_gateway]]\nname = \"{name}-trunk\"\naccount = \"{name}\"\naddress = \"{place}\"\n\
         prefixes = [{}]\npriority = {}\nmax_concurrency = {}\n",
        prefixes.join(", "),
        vendor.priority,
        vendor.max_concurrency
    );
}

fn write_rates(text: &mut String, group: &str, percent: u64, periods: (u32, u32), count: usize) {
    let _ = write!(text, "\n[[rate_group]]\nname = \"{group}\"\nrates = [\n");
    for Destination { prefix, area, price, .. } in DESTINATIONS.iter().take(count) {
        // Ten-thousandths times hundredths: six decimals.
        let micro = price * percent;
        let (first, cycle) = periods;
        let _ = writeln!(
            text,
            "  {{ prefix = \"{prefix}\", area = \"{area}\", price_per_minute = \"{}.{:06}\", first_period = {first}, \
             cycle = {cycle} }},",
            micro / 1_000_000,
            micro % 1_000_000
        );
    }
    text.push_str("]\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_whole_business() {
        let place = |port: usize| SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap()));
        let customers = (0..CUSTOMERS.len()).map(|i| place(15_060 + i)).collect();
        let vendors = (0..VENDORS.len()).map(|i| place(15_080 + i)).collect();
        let text = business(&Places { customers, vendors });
        let table: toml::Table = text.parse().unwrap();
        for (kind, count) in [
            ("account", CUSTOMERS.len() + VENDORS.len()),
            ("rate_group", CUSTOMERS.len() + VENDORS.len()),
            ("mapping_gateway", CUSTOMERS.len()),
            ("routing_gateway", VENDORS.len()),
        ] {
            assert_eq!(table[kind].as_array().unwrap().len(), count, "{kind}");
        }
        let rates = table["rate_group"].as_array().unwrap();
        assert!(rates.iter().any(|g| g["rates"].as_array().unwrap().len() == DESTINATIONS.len()));
        let price = rates[0]["rates"][0]["price_per_minute"].as_str().unwrap();
        assert_eq!(price, "0.032000");
        assert_eq!(CUSTOMERS.iter().map(|c| c.share).sum::<u64>(), 100);
        assert_eq!(DESTINATIONS.iter().map(|d| d.share).sum::<u64>(), 100);
        // Everybody earns: no vendor is dearer than the cheapest customer.
        let cheapest = CUSTOMERS.iter().map(|c| c.price_percent).min();
        assert!(VENDORS.iter().all(|v| Some(v.price_percent) < cheapest));
    }
}
