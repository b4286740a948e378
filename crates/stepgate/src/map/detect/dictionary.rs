//! What names of columns say, in a dozen languages.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::what::What::{self, *};
use super::words::Words;

/// How much a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Hint {
    /// It may mean many things.
    Weak,
    /// It hardly means anything else.
    Strong,
}

/// Words (or words written as one) by what they say. English, German, French, Spanish, Italian, Portuguese, Dutch,
/// Polish, the languages of the North, and what databases abbreviate.
const STRONG: &[(What, &str)] = &[
    (
        Email,
        "email emails mail mails emailaddr emailaddress eml emailadr mailadresse emailadresse mailaddress correo \
        correoelectronico courriel adressemail postaelettronica indirizzoemail epost epostadresse eposta epostal \
        sahkoposti useremail usermail kundenmail kundenemail custemail contactemail mailto",
    ),
    (
        Phone,
        "phone phones phoneno phonenumber phonenr telephone tel telno telnr telnum telefon telefonnr telefonnummer \
        telefono telefone telefoon telefoonnummer mobile mobileno mobilenumber mobil mobilnr mobilnummer mobiltelefon \
        mobiltel handy handynr handynummer cell cellphone cellno cellular celular cellulare movil telemovel telemobil \
        gsm mobiel msisdn fax faxno faxnr faxnummer rufnummer rufnr durchwahl fon ph phn phnum portable numtel \
        numerotelephone numtelefono tlf tlfnr puhelin puhelinnumero whatsapp komorka nrtelefonu contactnumber \
        contactno mob mobnr mobno tlfno telf fono fijo telefonie homephone workphone mobilephone daytimephone festnetz custphone telprivat telgesch",
    ),
    (Iban, "iban ibannr ibanno ibannumber ibancode kontoiban"),
    (
        BankAccount,
        "bankaccount bankaccountno bankacct bankacctno bankaccountnumber kontonummer kontonr ktonr ktonummer \
        kto bankverbindung cuentabancaria numerocuenta numcuenta numerodecuenta rekeningnummer rekeningnr contocorrente \
        numeroconto contacorrente contabancaria numerocompte comptebancaire rib accountnumber accountno accno acctno \
        acctnum acctnumber",
    ),
    (
        Card,
        "cardnumber cardno cardnum cardnr ccnumber ccno ccnum ccnr ccn creditcard creditcardno creditcardnumber \
        creditcardnum creditcardnr debitcard paymentcard kreditkarte kreditkartennr kreditkartennummer kartennummer \
        kartennr kknr kknummer cartebancaire cartecredit numerocarte numcarte numerocartebancaire tarjeta \
        tarjetacredito numerotarjeta numtarjeta notarjeta cartacredito cartadicredito numerocarta cartaocredito \
        numerocartao creditcardnummer kaartnummer nrkarty numerkarty kortnummer cardpan primaryaccountnumber",
    ),
    (Ssn, "ssn ssno socialsecurity socialsecurityno socialsecuritynumber socsec socsecno socsecnum itin"),
    (
        NationalId,
        "nationalid natid nationalidno nationalidnumber nationalinsurance nationalinsurancenumber nino nhs \
        nhsno nhsnumber nhsnr socialinsurance socialinsurancenumber steuerid steueridnr steueridentnr \
        steueridentifikationsnummer idnr identifikationsnummer sozialversicherungsnr sozialversicherungsnummer svnr \
        svnummer rvnr rentenversicherungsnummer numerosecu numsecu numsecuritesociale numerosecuritesociale \
        securitesociale nosecu insee nir dni dninie nie nif numeronif codicefiscale codfiscale codfisc cfiscale bsn \
        bsnnummer bsnnr burgerservicenummer sofinummer sofinr rijksregisternummer rijksregister numeronational niss \
        pesel nrpesel numerpesel personnummer persnr personnr personennummer cpf cpfcnpj numerocpf ahv ahvnr ahvnummer \
        avs navs numeroavs aadhaar aadhar aadhaarno aadharno aadhaarnumber tfn taxfilenumber cpr cprnr cprnummer hetu \
        henkilotunnus sotu fodselsnummer fodselsnr fnr curp cuil cuit rut runrut tckn tckimlik tckimlikno kimlikno \
        ppsn ppsno oib jmbg cnp egn amka rodnecislo rodcislo rc isikukood asmenskodas tajszam snils mynumber nric nricno \
        taxpayerid taxidnumber personalid personalnumber personalidnumber idnumber citizenid govid governmentid \
        nationalnumber siin sinnumber sinno nss numss noss numeross snils jmbg embg emso cuil cuit kennitala taj rfc",
    ),
    (
        Passport,
        "passport passportno passportnumber passportnum passnr passnummer reisepass reisepassnr reisepassnummer \
        reisepassnum passeport numpasseport numeropasseport pasaporte numpasaporte numeropasaporte passaporto \
        numeropassaporto paspoort paspoortnummer paspoortnr passaporte paszport nrpaszportu personalausweis \
        personalausweisnr personalausweisnummer ausweis ausweisnr ausweisnummer identitycard identitycardno idcard \
        idcardno idcardnumber cartaidentita carteidentite numerocni travaldocument traveldocument traveldocumentno",
    ),
    (
        Licence,
        "driverlicense driverslicense driverlicence drivinglicense drivinglicence driverlicenseno \
        driverslicenseno driverslicensenumber driverlicensenumber drivinglicenceno dlnumber dlno \
        fuehrerschein fuhrerschein fuhrerscheinnr fuehrerscheinnr permisconduire permisdeconduire numeropermis \
        carnetconducir licenciaconducir permisoconducir patenteguida numeropatente rijbewijs rijbewijsnummer \
        cartaconducao prawojazdy korkort",
    ),
    (
        Name,
        "firstname fname firstnm fstname lastname lname lastnm surname sname rufname givenname forename middlename mname \
        maidenname familyname fullname fullnm personname customername custname custnm clientname patientname \
        employeename empname contactname membername guestname passengername studentname ownername holdername \
        cardholder cardholdername accountholder beneficiary beneficiaryname recipientname sendername payeename \
        payername contactperson vorname vname nachname nname familienname zuname geburtsname kundenname vollername \
        ansprechpartner ansprechperson mitarbeitername patientenname kontoinhaber karteninhaber inhaber empfangername \
        prenom prenoms nomfamille nomdefamille nomcomplet nomclient nomprenom nomusuel nomnaissance titulaire nombre \
        nombres nombrecompleto apellido apellidos apellidopaterno apellidomaterno primerapellido segundoapellido titular \
        nombrecliente nombreyapellidos cognome cognomi nomecognome nominativo intestatario nomecompleto nomecliente \
        sobrenome apelido ultimonome primeironome nomemae voornaam voornamen achternaam tussenvoegsel roepnaam \
        volledigenaam klantnaam geslachtsnaam imie imiona nazwisko imieinazwisko imienazwisko fornamn efternamn \
        fornavn efternavn etternavn etunimi sukunimi jmeno prijmeni keresztnev vezeteknev prenume numefamilie soyad soyadi \
        adsoyad otchestvo familiya nokname nextofkin emergencycontact emergencycontactname",
    ),
    (
        Address,
        "address addressline addressline1 addr addrline addrline1 streetaddress streetaddr street streetname \
        streetno streetnumber homeaddress mailingaddress shippingaddress billingaddress deliveryaddress shipaddr \
        billaddr shipto custaddress custaddr residence residentialaddress strasse strassenr strassehausnr strassehnr \
        hausnr hausnummer hnr anschrift adresse adr adresszeile lieferadresse rechnungsadresse wohnort wohnadresse \
        wohnanschrift rue voie adressepostale adresselivraison lieudenaissance direccion domicilio calle numerocalle \
        dircliente indirizzo residenza viaecivico numerocivico straat straatnaam huisnummer huisnr adres woonadres \
        woonplaats morada endereco enderecocompleto logradouro bairro rua ulica nrdomu adreszamieszkania gatuadress \
        gata gateadresse postadress osoite katuosoite housenumber houseno placeofbirth birthplace geburtsort \
        lugarnacimiento luogonascita geboorteplaats strhnr strnr hsnr domic",
    ),
    (
        PostalCode,
        "zip zipcode zipcd postcode postalcode postcd pcode plz postleitzahl codepostal codpostal \
        codigopostal cpostal postnr postnummer kodpocztowy pincode zippostal postalcd codicepostale",
    ),
    (
        BirthDate,
        "dob birthdate birthday bday birthdt bdate dateofbirth datebirth birth geburtsdatum geburtstag gebdat \
        gebdatum gebtag gebdt geborenam naissance datenaissance datedenaissance datnaiss dtnaissance ddn dnaiss \
        nacimiento fechanacimiento fechadenacimiento fechanac fecnac fecnacimiento fnacimiento fnac nascita \
        datanascita datadinascita dtnascita nascimento datanascimento datadenascimento dtnascimento datanasc dtnasc \
        geboortedatum geboorte gebdtm dataurodzenia dataur urodzenia fodelsedatum fodselsdato fodselsdag syntymaaika \
        syntymapaiva dtnais datnais gebd gdat datumnarozeni narozeni szuletesidatum datanasterii dogumtarihi",
    ),
    (
        IpAddress,
        "ip ips ipaddr ipaddress ipadr ipv4 ipv6 clientip remoteip remoteaddr sourceip srcip userip lastip \
        loginip signupip registrationip ipadresse direccionip adresseip indirizzoip ipadres visitorip xforwardedfor",
    ),
    (
        Username,
        "username usernm uname loginname usr user benutzer utilisateur usuario utente gebruiker login loginid userlogin benutzername nutzername anmeldename \
        benutzerkennung nomutilisateur identifiant nombreusuario nomeutente gebruikersnaam nomeusuario nick nickname \
        nickn screenname handle twitter twitterhandle skype skypeid telegram instagram githubuser accountname",
    ),
    (
        FreeText,
        "notes note freetext freitext comments comment remarks remark bemerkung bemerkungen notiz notizen \
        kommentar anmerkung anmerkungen commentaire commentaires remarque remarques observaciones notas comentario \
        comentarios osservazioni commento commenti opmerking opmerkingen observacoes uwagi memo transcript \
        chattranscript feedback complaint beschwerde ticketbody messagebody messagetext casenotes",
    ),
    (
        Salary,
        "salary salaries wage wages gehalt bruttogehalt grossalary lohn salaire sueldo salario stipendio \
        retribuzione salaris pensja wynagrodzenie income einkommen annualincome compensation grosspay netpay payrate \
        bonus",
    ),
    (
        Credential,
        "password passwd pwd passwort kennwort passwordhash pwhash pwdhash passhash motdepasse contrasena \
        wachtwoord senha haslo secret apikey apitoken accesstoken refreshtoken totpsecret mfasecret securityanswer \
        privatekey",
    ),
    (Gender, "gender sex geschlecht sexe sexo sesso geslacht plec kon anrede salutation"),
    (
        Health,
        "diagnosis diagnose diagnostic diagnostico diagnosi bloodtype bloodgroup blutgruppe allergies allergien \
        medication medikation disability religion konfession ethnicity",
    ),
    (
        Location,
        "latitude longitude lat lon lng latlng latlon geopoint geolocation coordinates coords gps gpsposition",
    ),
];

/// Words that say little alone.
const WEAK: &[(What, &str)] = &[
    (Email, "correio mel contact reply cc bcc recipient username login account absender empfanger"),
    (Phone, "contact mob caller callee mtel ptel kontakt"),
    (BankAccount, "account acct konto cuenta compte conto rekening conta"),
    (Card, "card cc pan karte carte carta cartao kaart karta kort cb pmt payment"),
    (
        NationalId,
        "sin pan pnr cf uid fin inn rg run nid tin taxid taxno taxnr steuernr steuernummer nin national citizen \
        personal identity identifier identificacion documento identificatie idno pps id docno numdoc numerodocumento \
        secu svn",
    ),
    (Passport, "pass document documentno docno docnumber documento dokument"),
    (Licence, "licence license licenseno dl permis patente"),
    (
        Name,
        "name nm nom nome naam namn navn nimi nazwa nume nev first last given family middle full person customer cust \
        client kunde patient employee owner holder contact author signer witness spouse parent child guardian caller \
        manager agent driver teacher displayname author authorname assignee requester reporter sender \
        recipient prename initials alias vn nn zn vnam nnam nachn vorn im naz nazw imie pren nomb ape apell cogn inh",
    ),
    (
        Address,
        "city town ort stadt ville ciudad citta comune commune plaats stad cidade miasto miejscowosc kaupunki \
        localidad localita localite municipality municipio poblacion via str suburb addresses mesto",
    ),
    (PostalCode, "cp cap cep psc postal"),
    (BirthDate, "born birthyear geb geburt ne nac nasc ur fodt fodd"),
    (IpAddress, "host remote client source src addr origin peer"),
    (
        Username,
        "nutzer usager alias account member author \
        pseudo identity owner",
    ),
    (
        FreeText,
        "text message msg body content description descr desc beschreibung details detail reason history log \
        nachricht mensaje messaggio bericht story bio about aboutme review question answer subject request summary \
        payload data info extra misc raw blob doc document",
    ),
];

/// Longer words that say the same within another: `kundenemailadr`.
const STEMS: &[(What, &str)] = &[
    (Email, "email emailadr courriel"),
    (Phone, "telefon telephon mobilnr handynr phonenum telefoon"),
    (Iban, "iban"),
    (Card, "kreditkart creditcard cardnum"),
    (
        NationalId,
        "steuerid sozialversicherung codicefiscale burgerservice aadhaar personnummer henkilotunnus",
    ),
    (Passport, "passport reisepass passeport pasaporte"),
    (
        Name,
        "vorname nachname firstname lastname prenom apellido cognome achternaam voornaam nazwisko surname",
    ),
    (Address, "strasse anschrift adresse address indirizzo direccion"),
    (PostalCode, "postleitzahl postcode zipcode"),
    (BirthDate, "geburtsdat birthdat dateofbirth naissance nacimiento nascita geboorted"),
    (Username, "benutzername username"),
];

/// Words by which a name speaks of something about the datum, not of the datum.
const QUALIFIERS: &str = "hash hashed sha sha1 sha256 md5 digest checksum crypt encrypted enc cipher count cnt anzahl num_of nb \
    qty quantity total sum sent sentat verified verify verification confirmed valid validated validation is has flag \
    enabled disabled allowed required opt optin optout consent subscribed unsubscribed bounced bounce opened clicked \
    clicks status state type typ typen tipo kind art template provider carrier format length len width regex pattern \
    mask label category class score rank rate ratio amount betrag price fee cost limit expiry expires expiration exp \
    expmonth expyear month year time ts timestamp updated created changed modified attempts retries retry queue server \
    ttl url uri link path file filename key token uuid guid ref reference index idx version seq sequence position order \
    ordinal brand scheme issuer last4 lastfour bin prefix suffix code country domain language lang locale \
    timezone tz preference preferences setting settings quality source_id target delivered delivery_status attempted \
    step stage reason_code duration seconds ms bytes size color colour currency campaign list lists group groups \
    visible hidden public policy rule interval frequency day days gesendet verifiziert bestatigt gultig aktiv active";

/// Words before `name`, `number` and the like that make it a thing's.
const THINGS: &str = "file host table column schema product item article artikel produkt produit producto prodotto company firma \
    firm societe empresa azienda organisation organization org brand marke marque marca category kategorie event plan class \
    tag role group team department dept abteilung bank country land pays pais paese region domain server db database job \
    task project projekt campaign channel template store shop filiale branch warehouse model modell unit metric queue topic \
    bucket app application service package module method function feature field key attribute property language currency \
    species drug course school university hotel restaurant station airport color colour size material layout device \
    sensor vehicle car room building theme menu page report rule policy status type process step node cluster \
    image container version release rank genre movie film song album book title game level vendor supplier lieferant \
    order bestellung auftrag invoice rechnung facture factura fattura sku ean isbn serial batch lot charge ticket \
    transaction session request tracking shipment parcel line row part teil lager article reference booking";

/// Names of tables that hold people.
const PEOPLE: &str = "person persons people user users usr customer customers client clients cust kunde kunden patient patients \
    employee employees emp staff mitarbeiter personal member members contact contacts kontakt kontakte lead leads guest \
    guests passenger passengers student students teacher teachers driver drivers applicant applicants candidate candidates \
    subscriber subscribers account accounts profile profiles owner owners tenant tenants resident residents citizen citizens \
    voter donor donors benutzer nutzer clientes cliente clienti client utilisateur utilisateurs usagers salarie salaries \
    personne personnes personas persona empleado empleados usuarios usuario alumnos pacientes paciente pazienti paziente \
    dipendenti dipendente utenti utente persone klant klanten medewerker medewerkers persoon personen gebruiker gebruikers \
    funcionario funcionarios clientela pessoas pessoa utilizadores klienci klient osoby osoba pracownicy pracownik kund \
    kunder anstallda medlemmer medlem henkilot asiakkaat signup signups registration registrations attendee attendees \
    participant participants teilnehmer mieter versicherte insured policyholder policyholders beneficiary beneficiaries \
    recipients recipient crm hr payroll visitor visitors mandant adressen anschriften addresses";

static QUALIFIER: LazyLock<HashSet<&str>> = LazyLock::new(|| QUALIFIERS.split_whitespace().collect());
static THING: LazyLock<HashSet<&str>> = LazyLock::new(|| THINGS.split_whitespace().collect());

static LOOK_UP: LazyLock<HashMap<&'static str, Vec<(What, Hint)>>> = LazyLock::new(|| {
    let mut found: HashMap<_, Vec<_>> = HashMap::new();
    for (table, hint) in [(STRONG, Hint::Strong), (WEAK, Hint::Weak)] {
        for (what, words) in table {
            for word in words.split_whitespace() {
                found.entry(word).or_default().push((*what, hint));
            }
        }
    }
    found
});

/// Tables of places where a firm does business.
const PLACES: &str = "store stores shop shops filiale filialen branch branches warehouse warehouses lager supplier suppliers \
    lieferant lieferanten vendor vendors hotel hotels restaurant restaurants station stations airport airports school schools \
    university universities office offices site sites location locations depot depots plant plants hospital hospitals \
    pharmacy pharmacies company companies firma firmen magasin magasins entrepot entrepots tienda tiendas almacen \
    almacenes negozio negozi magazzino winkel winkels venue venues";

/// What machines are called that have addresses of their own.
const MACHINES: &str = "server srv host node vm instance cluster container router switch firewall gateway gw interface iface nic \
    appliance infra infrastructure rechner maschine machine serveur servidor serwer mgmt management dns dhcp ntp nat subnet \
    netmask broadcast loopback vlan vip bind listen backend upstream loadbalancer lb proxy bastion ilo ipmi bmc";

/// Names of tables that tell who came to a machine.
const RECORDS: &str = "log logs access request requests hit hits visit visits visitor visitors session sessions event events audit \
    traffic login logins click clicks call calls zugriff zugriffe protokoll journal";

/// Who comes to a machine.
const VISITORS: &str = "client remote user visitor source src customer login signup registration";

/// What days are called on which something began, was made or came.
const EVENTS: &str = "since seit depuis desde dal od hire hired hiring joined join entry eintritt austritt entree sortie ingreso alta \
    baja assunzione start started begin beginn begun opened opening eroffnet eroeffnet eroffnung founded gegrundet gegruendet \
    issue issued release released launch launched published built build baujahr bj production manufactured produced \
    purchase purchased bought kauf kaufdatum installed delivered shipped due faellig fallig signed signup contract vertrag \
    erfasst erf angelegt inscription registered registration enrolled admitted discharged visit appointment termin \
    retired died death tod gestorben deces muerte wypis przyjecia zatrudnienia";

/// What a name says, by what it may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    hints: HashMap<What, Hint>,
    /// It speaks of something about the datum: a count, a flag, a hash.
    pub(crate) qualified: bool,
    /// It speaks of a thing: a product, a file, an order.
    pub(crate) of_thing: bool,
    /// It speaks of a machine.
    pub(crate) of_machine: bool,
    /// It speaks of who came.
    pub(crate) of_visitor: bool,
    /// It speaks of something that happened, though not of a birth.
    pub(crate) of_event: bool,
}

impl Said {
    /// What the name of a column says.
    pub(crate) fn by(words: &Words) -> Self {
        let mut said = Self::default();
        let id = words.last().is_some_and(|last| matches!(last, "id" | "ids" | "pk" | "fk" | "key" | "ref"));
        let number = words
            .last()
            .is_some_and(|last| matches!(last, "nr" | "no" | "num" | "number" | "nummer" | "code"));
        for (run, ends) in words.runs() {
            for (what, hint) in LOOK_UP.get(run.as_str()).into_iter().flatten() {
                // `customer_id`, `person_no`: what it names is not what stands in it.
                let named = matches!(what, Name | FreeText | Username | Address | BirthDate);
                match (ends, id || number) {
                    (false, true) if named => {}
                    (false, true) if id => said.hint(*what, Hint::Weak),
                    // `user_agent`: what comes first is whose it is.
                    (false, false) if *what == Username => said.hint(*what, Hint::Weak),
                    _ => said.hint(*what, *hint),
                }
            }
        }
        for word in words.all() {
            for (what, stems) in STEMS {
                if stems.split_whitespace().any(|stem| word.len() > stem.len() && word.contains(stem)) {
                    said.hint(*what, Hint::Strong);
                }
            }
        }
        let is_of = |list: &HashSet<&str>, word: &str| list.contains(word);
        let positive = |what: What| said.hints.get(&what) == Some(&Hint::Strong);
        // `zip_code`, `country_code`: a word that is part of what is meant does not speak against it.
        let coded = positive(What::PostalCode) || positive(What::NationalId) || positive(What::BirthDate);
        let harmless = |word: &str| {
            (coded && matches!(word, "code" | "day" | "num" | "year"))
                || (positive(What::IpAddress) && word == "source")
                || (positive(What::Address) && matches!(word, "state" | "country" | "delivery"))
        };
        said.qualified = words.all().any(|word| is_of(&QUALIFIER, word) && !harmless(word))
            || words.all().last().is_some_and(|last| matches!(last, "at" | "on" | "by" | "in" | "cnt"))
            || words
                .all()
                .next()
                .is_some_and(|first| matches!(first, "is" | "has" | "can" | "num" | "n" | "allow"))
                && words.all().count() > 1;
        said.of_thing = words.all().any(|word| is_of(&THING, word));
        let is_in = |list: &str| words.all().any(|word| list.split_whitespace().any(|known| known == word));
        said.of_visitor = is_in(VISITORS);
        // `host` is anybody's.
        said.of_machine = is_in(MACHINES) && !is_in("host");
        said.of_event = is_in(EVENTS);
        said.settle(words);
        said
    }

    /// Of two that a name says, one: `email_address` is none of a house, `birth_place` no day, `mail_body` no address.
    fn settle(&mut self, words: &Words) {
        let has = |list: &str| words.all().any(|word| list.split_whitespace().any(|known| known == word));
        let strong = |said: &Self, what: What| said.hints.get(&what) == Some(&Hint::Strong);
        if strong(self, Email)
            || strong(self, IpAddress)
            || has("mac wallet memory web url crypto btc eth bus")
        {
            self.hints.remove(&Address);
        }
        if has("place ort lieu lugar luogo plaats city town country land name state miejsce") {
            self.hints.remove(&BirthDate);
        }
        if has("subject body text content message betreff template folder box server") {
            self.hints.remove(&Email);
        }
    }

    fn hint(&mut self, what: What, hint: Hint) {
        let known = self.hints.entry(what).or_insert(hint);
        *known = (*known).max(hint);
    }

    /// How much it says of this.
    pub(crate) fn of(&self, what: What) -> Option<Hint> {
        self.hints.get(&what).copied()
    }

    /// Adds what another name of the same column says.
    pub(crate) fn also(&mut self, other: &Self, at_most: Hint) {
        if other.qualified {
            return;
        }
        for (what, hint) in &other.hints {
            self.hint(*what, (*hint).min(at_most));
        }
    }
}

/// Whether a table of this name is about people.
pub(crate) fn is_about_people(table: &Words) -> bool {
    table.runs().any(|(run, _)| PEOPLE.split_whitespace().any(|known| known == run))
}

/// Whether a table of this name is about places of business.
pub(crate) fn is_about_places(table: &Words) -> bool {
    table.all().any(|word| PLACES.split_whitespace().any(|known| known == word))
}

/// Whether a table of this name is a list of machines.
pub(crate) fn is_about_machines(table: &Words) -> bool {
    let is = |word: &str| MACHINES.split_whitespace().any(|known| known == word);
    let told = |word: &str| RECORDS.split_whitespace().any(|known| known == word);
    table.all().any(|word| is(word) || word.strip_suffix('s').is_some_and(is)) && !table.all().any(told)
}

/// Whether a table of this name is a list of things: `products`, `roles`, `countries`.
pub(crate) fn is_about_things(table: &Words) -> bool {
    let is = |word: &str| THING.contains(word);
    table.all().any(|word| {
        is(word)
            || word.strip_suffix("ies").is_some_and(|stem| is(&format!("{stem}y")))
            || word.strip_suffix("es").is_some_and(is)
            || word.strip_suffix(['s', 'n', 'e']).is_some_and(is)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str) -> Said {
        Said::by(&Words::of(name))
    }

    #[test]
    fn names_are_understood_in_many_languages() {
        for (name, what) in [
            ("geb_dat", What::BirthDate),
            ("dateOfBirth", What::BirthDate),
            ("fecha_nac", What::BirthDate),
            ("kundenemailadr", What::Email),
            ("E-Mail", What::Email),
            ("tel_2", What::Phone),
            ("Telefónica_movil", What::Phone),
            ("plz", What::PostalCode),
            ("zip_code", What::PostalCode),
            ("codice_fiscale", What::NationalId),
            ("numéro_de_sécu", What::NationalId),
            ("apellido1", What::Name),
            ("Nachname", What::Name),
            ("straße", What::Address),
            ("ip_addr", What::IpAddress),
        ] {
            let said = said(name);
            assert!(said.of(what).is_some(), "{name} {said:?}");
            assert!(!said.qualified, "{name} {said:?}");
        }
        assert_eq!(said("cc").of(What::Card), Some(Hint::Weak));
        assert_eq!(said("email_address").of(What::Address), None);
    }

    #[test]
    fn what_is_about_a_datum_is_not_the_datum() {
        for name in [
            "email_sent_at",
            "phone_verified",
            "ssn_hash",
            "card_count",
            "is_email_valid",
            "address_type",
            "iban_country",
        ] {
            assert!(said(name).qualified, "{name}");
        }
        for name in ["product_name", "file_name", "order_number"] {
            assert!(said(name).of_thing, "{name}");
        }
        assert!(is_about_people(&Words::of("crm_kunden")) && !is_about_people(&Words::of("products")));
        assert!(is_about_things(&Words::of("product_categories")) && !is_about_things(&Words::of("users")));
    }
}
