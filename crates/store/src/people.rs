//! Users of the console, their roles, and API tokens. Only kept here; hashing and deciding is the API's part.

use crate::audit::{self, Author, Deed};
use crate::sql::{Connection, Row, Value};
use crate::store::now_ms;
use crate::{Store, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::json;
use vocab::Utc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub role: String,
    /// In the text form of its algorithm.
    pub password_hash: String,
    pub created_at: Utc,
    pub details: UserDetails,
}

/// What else is known of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserDetails {
    /// May not sign in.
    pub disabled: bool,
    /// Sees only this account and those below it.
    pub account: Option<u32>,
    /// Secret of the second factor, sealed with the key file.
    pub totp: Option<String>,
    /// The last time step whose code was taken: a code opens once.
    pub totp_step: u64,
    pub note: String,
}

/// A role: what its users may do, in the API's words (`accounts.view`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Role {
    #[serde(skip)]
    pub name: String,
    pub rights: Vec<String>,
    pub note: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenKind {
    /// Of a browser or a program that signed in.
    #[default]
    Session,
    /// Of the command line on this machine.
    Local,
    /// Made for a program.
    Key,
}

/// A session, or a key of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token, in hex: the token itself is nowhere.
    pub hash: String,
    pub user: String,
    pub note: String,
    pub created_at: Utc,
    /// `None`: does not expire.
    pub expires_at: Option<Utc>,
    pub details: TokenDetails,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TokenDetails {
    pub kind: TokenKind,
    /// No more than these rights of its user; `None`: all of them.
    pub rights: Option<Vec<String>>,
    /// Good from these networks only; empty: from anywhere.
    pub networks: Vec<String>,
}

const USER: &str = "SELECT name, role, password_hash, created_at, body FROM console_user";
const TOKEN: &str = "SELECT hash, user_name, note, created_at, expires_at, body FROM token";
/// Networks from which console and API are reached, as a setting of the data folder.
const ACCESS: &str = "access";

impl Store {
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        self.read(|db| db.rows(&format!("{USER} ORDER BY name"), &[], read_user))
    }

    pub fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        self.read(|db| user(db, name))
    }

    /// Adds a user or replaces the one of this name.
    pub fn set_user(&self, user: &User, by: impl Into<Author>) -> Result<(), StoreError> {
        let by = by.into();
        let row = [
            Value::from(&user.name),
            Value::from(&user.role),
            Value::from(&user.password_hash),
            user.created_at.millis().into(),
            serde_json::to_string(&user.details)?.into(),
        ];
        let sql = "INSERT INTO console_user (name, role, password_hash, created_at, body) VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (name) DO UPDATE SET role = excluded.role, password_hash = excluded.password_hash,
                     body = excluded.body";
        self.write(|db| {
            let before = self::user(db, &user.name)?;
            db.run(sql, &row)?;
            note(db, &by, "user", &user.name, before.as_ref().map(shown), Some(shown(user)))
        })
    }

    /// Notes the time step of a second factor that was taken. False if one as late was taken before.
    pub fn take_totp_step(&self, name: &str, step: u64) -> Result<bool, StoreError> {
        self.write(|db| {
            let Some(mut user) = user(db, name)?.filter(|u| u.details.totp_step < step) else {
                return Ok(false);
            };
            user.details.totp_step = step;
            let body = serde_json::to_string(&user.details)?;
            db.run("UPDATE console_user SET body = ?2 WHERE name = ?1", &[name.into(), body.into()])?;
            Ok(true)
        })
    }

    /// Removes a user with all tokens; false if there was none.
    pub fn delete_user(&self, name: &str, by: impl Into<Author>) -> Result<bool, StoreError> {
        let by = by.into();
        self.write(|db| {
            let Some(before) = user(db, name)? else { return Ok(false) };
            db.run("DELETE FROM token WHERE user_name = ?1", &[name.into()])?;
            db.run("DELETE FROM console_user WHERE name = ?1", &[name.into()])?;
            note(db, &by, "user", name, Some(shown(&before)), None)?;
            Ok(true)
        })
    }

    pub fn roles(&self) -> Result<Vec<Role>, StoreError> {
        self.read(|db| db.rows("SELECT name, body FROM console_role ORDER BY name", &[], read_role))
    }

    pub fn role(&self, name: &str) -> Result<Option<Role>, StoreError> {
        self.read(|db| role(db, name))
    }

    /// Adds a role or replaces the one of this name.
    pub fn set_role(&self, role: &Role, by: impl Into<Author>) -> Result<(), StoreError> {
        let by = by.into();
        let body = serde_json::to_string(role)?;
        let sql = "INSERT INTO console_role (name, body) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.write(|db| {
            let before = self::role(db, &role.name)?.map(serde_json::to_value).transpose()?;
            db.run(sql, &[Value::from(&role.name), Value::from(&body)])?;
            note(db, &by, "role", &role.name, before, Some(serde_json::to_value(role)?))
        })
    }

    /// Removes a role; false if there was none. Its users can then do nothing.
    pub fn delete_role(&self, name: &str, by: impl Into<Author>) -> Result<bool, StoreError> {
        let by = by.into();
        self.write(|db| {
            let Some(before) = role(db, name)? else { return Ok(false) };
            db.run("DELETE FROM console_role WHERE name = ?1", &[name.into()])?;
            note(db, &by, "role", name, Some(serde_json::to_value(before)?), None)?;
            Ok(true)
        })
    }

    /// Adds a token. Sessions are noted where somebody signs in; keys here.
    pub fn add_token(&self, token: &Token, by: impl Into<Author>) -> Result<(), StoreError> {
        let by = by.into();
        let row = [
            Value::from(&token.hash),
            Value::from(&token.user),
            Value::from(&token.note),
            token.created_at.millis().into(),
            token.expires_at.map(Utc::millis).into(),
            serde_json::to_string(&token.details)?.into(),
        ];
        let sql = "INSERT INTO token (hash, user_name, note, created_at, expires_at, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        self.write(|db| {
            db.run(sql, &row)?;
            if token.details.kind != TokenKind::Key {
                return Ok(());
            }
            let after = json!({ "user": token.user, "details": token.details });
            note(db, &by, "key", &token.note, None, Some(after))
        })
    }

    /// The token with this hash, expired or not.
    pub fn token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        self.read(|db| db.first(&format!("{TOKEN} WHERE hash = ?1"), &[hash.into()], read_token))
    }

    pub fn tokens(&self, user: &str) -> Result<Vec<Token>, StoreError> {
        let sql = format!("{TOKEN} WHERE user_name = ?1 ORDER BY created_at, hash");
        self.read(|db| db.rows(&sql, &[user.into()], read_token))
    }

    /// The tokens of all users.
    pub fn all_tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(|db| db.rows(&format!("{TOKEN} ORDER BY created_at, hash"), &[], read_token))
    }

    pub fn delete_token(&self, hash: &str, by: impl Into<Author>) -> Result<bool, StoreError> {
        let by = by.into();
        self.write(|db| {
            let found = db.first(&format!("{TOKEN} WHERE hash = ?1"), &[hash.into()], read_token)?;
            let Some(token) = found else { return Ok(false) };
            db.run("DELETE FROM token WHERE hash = ?1", &[hash.into()])?;
            if token.details.kind == TokenKind::Key {
                note(db, &by, "key", &token.note, Some(json!({ "user": token.user })), None)?;
            }
            Ok(true)
        })
    }

    /// Ends the sessions of a user but for one.
    pub fn delete_sessions(&self, user: &str, but: &str) -> Result<usize, StoreError> {
        let ended = self.tokens(user)?;
        let ended = ended.iter().filter(|t| t.details.kind == TokenKind::Session && t.hash != but);
        let hashes: Vec<&String> = ended.map(|t| &t.hash).collect();
        self.write(|db| {
            for hash in &hashes {
                db.run("DELETE FROM token WHERE hash = ?1", &[Value::from(*hash)])?;
            }
            Ok(hashes.len())
        })
    }

    /// Removes tokens that have expired; how many.
    pub fn delete_expired_tokens(&self, now: Utc) -> Result<usize, StoreError> {
        self.write(|db| db.run("DELETE FROM token WHERE expires_at <= ?1", &[now.millis().into()]))
    }

    /// Networks from which console and API may be reached; empty: from anywhere.
    pub fn access(&self) -> Result<Vec<String>, StoreError> {
        self.read(access)
    }

    pub fn set_access(&self, networks: &[String], by: impl Into<Author>) -> Result<(), StoreError> {
        let by = by.into();
        let body = serde_json::to_string(networks)?;
        let sql = "INSERT INTO setting (name, body) VALUES (?1, ?2)
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body";
        self.write(|db| {
            let before = json!(access(db)?);
            db.run(sql, &[ACCESS.into(), body.into()])?;
            note(db, &by, "access", "console and API", Some(before), Some(json!(networks)))
        })
    }

    /// A secret in the form in which it may be stored. `None` when the system has no randomness to give.
    pub fn seal(&self, secret: &str) -> Option<String> {
        self.secrets().seal(&crate::config::Password::new(secret))
    }

    /// What the switch seals secrets in the journal with.
    pub fn journal_seal(&self) -> [u8; 32] {
        self.secrets().journal()
    }

    /// What was sealed; `None` when it was not sealed with this data folder's key.
    pub fn unseal(&self, sealed: &str) -> Option<String> {
        self.secrets().open(sealed)
    }
}

fn note(
    db: &Connection,
    by: &Author,
    kind: &str,
    object: &str,
    before: Option<serde_json::Value>,
    after: Option<serde_json::Value>,
) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    let action = match (&before, &after) {
        (None, _) => "create",
        (_, None) => "delete",
        _ => "update",
    };
    let [before, after] = [before, after].map(|v| v.map(|v| v.to_string()));
    let deed = Deed { action, kind, object, before: before.as_deref(), after: after.as_deref() };
    audit::write(db, by, now_ms(), &deed)
}

/// What the log says of a user. That a password was changed shows as a change of its hash's first letters.
fn shown(user: &User) -> serde_json::Value {
    let mark: String = user.password_hash.chars().rev().take(6).collect();
    json!({ "role": user.role, "password_mark": mark, "details": user.details })
}

fn access(db: &Connection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT body FROM setting WHERE name = ?1";
    let body = db.first(sql, &[ACCESS.into()], |row| Ok(serde_json::from_str(row.text(0)?)?))?;
    Ok(body.unwrap_or_default())
}

fn user(db: &Connection, name: &str) -> Result<Option<User>, StoreError> {
    db.first(&format!("{USER} WHERE name = ?1"), &[name.into()], read_user)
}

fn role(db: &Connection, name: &str) -> Result<Option<Role>, StoreError> {
    db.first("SELECT name, body FROM console_role WHERE name = ?1", &[name.into()], read_role)
}

fn read_user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        name: row.text(0)?.to_string(),
        role: row.text(1)?.to_string(),
        password_hash: row.text(2)?.to_string(),
        created_at: Utc::from_millis(row.int(3)?),
        details: serde_json::from_str(row.text(4)?)?,
    })
}

fn read_role(row: &Row<'_>) -> Result<Role, StoreError> {
    let role: Role = serde_json::from_str(row.text(1)?)?;
    Ok(Role { name: row.text(0)?.to_string(), ..role })
}

fn read_token(row: &Row<'_>) -> Result<Token, StoreError> {
    Ok(Token {
        hash: row.text(0)?.to_string(),
        user: row.text(1)?.to_string(),
        note: row.text(2)?.to_string(),
        created_at: Utc::from_millis(row.int(3)?),
        expires_at: row.optional_int(4)?.map(Utc::from_millis),
        details: serde_json::from_str(row.text(5)?)?,
    })
}
