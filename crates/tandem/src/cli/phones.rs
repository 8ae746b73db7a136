//! Phones and registrations.

use super::client::segment;
use super::commands::{all, cell, columns, items, with};
use super::{Failure, PhonesCommand, RegistrationsCommand};
use serde_json::{Value, json};

pub(super) fn phones(command: PhonesCommand) -> Result<(), Failure> {
    match command {
        PhonesCommand::List { client } => with(&client, |c, out| {
            let list = all(c, "/phones", &[], usize::MAX)?;
            out.answer(&list, |list| {
                let shown = columns(
                    items(list),
                    &[
                        ("NUMBER", "number"),
                        ("ACCOUNT", "account"),
                        ("ENABLED", "enabled"),
                        ("ONLINE", "online"),
                        ("CALLS", "calls"),
                    ],
                );
                if items(list).is_empty() { "No phones.".into() } else { shown }
            })
        }),
        PhonesCommand::Show { number, client } => with(&client, |c, out| {
            let phone = c.get(&format!("/phones/{}", segment(&number)), &[])?;
            out.answer(&phone, |phone| {
                let all = phone.as_object().into_iter().flatten();
                let plain = all.filter(|(name, _)| *name != "registration");
                let mut text: String =
                    plain.map(|(name, v)| format!("{:<24} {}\n", name.replace('_', " "), cell(v))).collect();
                text += &contacts(&phone["registration"]);
                text
            })
        }),
    }
}

fn contacts(registration: &Value) -> String {
    let list = registration["contacts"].as_array().map(Vec::as_slice).unwrap_or_default();
    if list.is_empty() {
        return "Not registered.".into();
    }
    columns(
        list,
        &[
            ("CONTACT", "uri"),
            ("Q", "q"),
            ("FROM", "source"),
            ("NAT", "behind_nat"),
            ("EXPIRES", "expires_at"),
            ("DEVICE", "user_agent"),
        ],
    )
}

pub(super) fn registrations(command: RegistrationsCommand) -> Result<(), Failure> {
    match command {
        RegistrationsCommand::List { client } => with(&client, |c, out| {
            let list = all(c, "/registrations", &[], usize::MAX)?;
            out.answer(&list, |list| {
                let each = |r: &Value| {
                    let name =
                        format!("{} {} ({} calls)", cell(&r["kind"]), cell(&r["name"]), cell(&r["calls"]));
                    format!("{name}\n{}", contacts(r))
                };
                let shown: Vec<String> = items(list).iter().map(each).collect();
                if shown.is_empty() { "Nobody is registered.".into() } else { shown.join("\n") }
            })
        }),
        RegistrationsCommand::Vendors { client } => with(&client, |c, out| {
            let list = all(c, "/routing-gateways", &[], usize::MAX)?;
            out.answer(&list, |list| {
                columns(
                    items(list),
                    &[
                        ("GATEWAY", "name"),
                        ("ONLINE", "online"),
                        ("LAST ANSWER", "last_answer_at"),
                        ("REGISTRATION", "registration"),
                        ("ANSWER", "registration_answer"),
                        ("EXPIRES IN", "registration_expires_in_s"),
                        ("RETRY IN", "registration_retry_in_s"),
                    ],
                )
            })
        }),
        RegistrationsCommand::Remove { name, client } => with(&client, |c, out| {
            c.delete(&format!("/registrations/{}", segment(&name)))?;
            out.either(&json!({ "removed": name }), format!("{name} is not registered any more."))
        }),
    }
}
