//! Users of the console and API tokens. Only kept here; hashing and deciding is the API's part.

use crate::sql::{Row, Value};
use crate::{Store, StoreError};
use vocab::Utc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub role: String,
    /// In the text form of its algorithm.
    pub password_hash: String,
    pub created_at: Utc,
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
}

impl Store {
    pub fn users(&self) -> Result<Vec<User>, StoreError> {
        let sql = "SELECT name, role, password_hash, created_at FROM console_user ORDER BY name";
        self.read(|db| db.rows(sql, &[], read_user))
    }

    pub fn user(&self, name: &str) -> Result<Option<User>, StoreError> {
        let sql = "SELECT name, role, password_hash, created_at FROM console_user WHERE name = ?1";
        self.read(|db| db.first(sql, &[name.into()], read_user))
    }

    /// Adds a user or replaces the one of this name.
    pub fn set_user(&self, user: &User) -> Result<(), StoreError> {
        let row = [
            Value::from(&user.name),
            Value::from(&user.role),
            Value::from(&user.password_hash),
            user.created_at.millis().into(),
        ];
        let sql = "INSERT INTO console_user (name, role, password_hash, created_at) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (name) DO UPDATE SET role = excluded.role, password_hash = excluded.password_hash";
        self.write(|db| db.run(sql, &row).map(|_| ()))
    }

    /// Removes a user with all tokens; false if there was none.
    pub fn delete_user(&self, name: &str) -> Result<bool, StoreError> {
        self.write(|db| {
            db.run("DELETE FROM token WHERE user_name = ?1", &[name.into()])?;
            Ok(db.run("DELETE FROM console_user WHERE name = ?1", &[name.into()])? > 0)
        })
    }

    pub fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        let row = [
            Value::from(&token.hash),
            Value::from(&token.user),
            Value::from(&token.note),
            token.created_at.millis().into(),
            token.expires_at.map(Utc::millis).into(),
        ];
        let sql =
            "INSERT INTO token (hash, user_name, note, created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        self.write(|db| db.run(sql, &row).map(|_| ()))
    }

    /// The token with this hash, expired or not.
    pub fn token(&self, hash: &str) -> Result<Option<Token>, StoreError> {
        let sql = "SELECT hash, user_name, note, created_at, expires_at FROM token WHERE hash = ?1";
        self.read(|db| db.first(sql, &[hash.into()], read_token))
    }

    pub fn tokens(&self, user: &str) -> Result<Vec<Token>, StoreError> {
        let sql = "SELECT hash, user_name, note, created_at, expires_at FROM token WHERE user_name = ?1
                   ORDER BY created_at, hash";
        self.read(|db| db.rows(sql, &[user.into()], read_token))
    }

    pub fn delete_token(&self, hash: &str) -> Result<bool, StoreError> {
        self.write(|db| Ok(db.run("DELETE FROM token WHERE hash = ?1", &[hash.into()])? > 0))
    }

    /// Removes tokens that have expired; how many.
    pub fn delete_expired_tokens(&self, now: Utc) -> Result<usize, StoreError> {
        self.write(|db| db.run("DELETE FROM token WHERE expires_at <= ?1", &[now.millis().into()]))
    }
}

fn read_user(row: &Row<'_>) -> Result<User, StoreError> {
    Ok(User {
        name: row.text(0)?.to_string(),
        role: row.text(1)?.to_string(),
        password_hash: row.text(2)?.to_string(),
        created_at: Utc::from_millis(row.int(3)?),
    })
}

fn read_token(row: &Row<'_>) -> Result<Token, StoreError> {
    Ok(Token {
        hash: row.text(0)?.to_string(),
        user: row.text(1)?.to_string(),
        note: row.text(2)?.to_string(),
        created_at: Utc::from_millis(row.int(3)?),
        expires_at: row.optional_int(4)?.map(Utc::from_millis),
    })
}
