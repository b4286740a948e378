//! What a column may hold, and by which labels maps call it.

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    /// E-mail addresses.
    Email,
    /// Telephone numbers.
    Phone,
    /// International bank account numbers.
    Iban,
    /// Other numbers of bank accounts.
    BankAccount,
    /// Payment card numbers.
    Card,
    /// US social security numbers.
    Ssn,
    /// Personal numbers of other states.
    NationalId,
    /// Numbers of passports and identity cards.
    Passport,
    /// Numbers of driving licences.
    Licence,
    /// Names of people, or parts of them.
    Name,
    /// Streets, house numbers, towns.
    Address,
    /// Postal codes.
    PostalCode,
    /// Days of birth.
    BirthDate,
    /// IP addresses.
    IpAddress,
    /// Login names and handles.
    Username,
    /// Text in which any of these stand.
    FreeText,
    /// What people earn; only where a map has a label for it.
    Salary,
    /// Passwords, their hashes, tokens; only where a map has a label for it.
    Credential,
    /// Only where a map has a label for it.
    Gender,
    /// Only where a map has a label for it.
    Health,
    /// Only where a map has a label for it.
    Location,
}

impl What {
    /// All of them.
    pub(crate) const ALL: [Self; 21] = [
        Self::Email,
        Self::Phone,
        Self::Iban,
        Self::BankAccount,
        Self::Card,
        Self::Ssn,
        Self::NationalId,
        Self::Passport,
        Self::Licence,
        Self::Name,
        Self::Address,
        Self::PostalCode,
        Self::BirthDate,
        Self::IpAddress,
        Self::Username,
        Self::FreeText,
        Self::Salary,
        Self::Credential,
        Self::Gender,
        Self::Health,
        Self::Location,
    ];

    /// Its labels, the one that is proposed first; others are what maps call it too.
    pub(crate) const fn labels(self) -> &'static [&'static str] {
        match self {
            Self::Email => &["email", "e-mail", "mail", "email-address", "email_address"],
            Self::Phone => &["phone", "telephone", "phone-number", "phone_number", "tel", "mobile"],
            Self::Iban => &["iban", "bank-account", "bank_account", "account-number"],
            Self::BankAccount => &["bank-account", "bank_account", "account-number", "iban"],
            Self::Card => &["card-number", "card", "credit-card", "card_number", "credit_card", "pan"],
            Self::Ssn => &["ssn", "social-security-number", "national-id", "national_id"],
            Self::NationalId => {
                &["national-id", "national_id", "nationalid", "id-number", "personal-number", "tax-id", "ssn"]
            }
            Self::Passport => {
                &["passport", "passport-number", "passport_number", "national-id", "national_id"]
            }
            Self::Licence => {
                &["driving-licence", "driver-license", "drivers-license", "driver_license", "licence"]
            }
            Self::Name => &["name", "person-name", "full-name", "person_name", "full_name", "person"],
            Self::Address => &["address", "street", "postal-address", "postal_address"],
            Self::PostalCode => &["postal-code", "postcode", "zip", "postal_code", "zip-code", "address"],
            Self::BirthDate => {
                &["birth-date", "birthdate", "date-of-birth", "birth_date", "dob", "date_of_birth"]
            }
            Self::IpAddress => &["ip-address", "ip", "ip_address"],
            Self::Username => &["username", "user-name", "login", "user_name", "handle"],
            Self::FreeText => &["free-text", "free_text", "freetext", "text", "notes"],
            Self::Salary => &["salary", "income", "compensation"],
            Self::Credential => &["credential", "password", "secret", "credentials"],
            Self::Gender => &["gender", "sex"],
            Self::Health => &["health", "medical", "diagnosis"],
            Self::Location => &["location", "geo-location", "geolocation", "coordinates"],
        }
    }

    /// Whether it is looked for in any database, or only where the map says that somebody cares.
    pub(crate) const fn is_usual(self) -> bool {
        !matches!(self, Self::Salary | Self::Credential | Self::Gender | Self::Health | Self::Location)
    }

    /// How sensitive it is where the map has no label for it yet: from 0, the least of the map's classes, to 2, the most.
    pub(crate) const fn severity(self) -> usize {
        match self {
            Self::PostalCode | Self::Gender => 0,
            Self::Email
            | Self::Phone
            | Self::Name
            | Self::Address
            | Self::IpAddress
            | Self::Username
            | Self::FreeText
            | Self::Location => 1,
            _ => 2,
        }
    }

    /// Whether a table that holds it is about people.
    pub(crate) const fn is_about_people(self) -> bool {
        !matches!(
            self,
            Self::Address
                | Self::PostalCode
                | Self::IpAddress
                | Self::FreeText
                | Self::Location
                | Self::Credential
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_label_of_its_own() {
        let mut first: Vec<_> = What::ALL.iter().map(|what| what.labels()[0]).collect();
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), What::ALL.len());
    }
}
