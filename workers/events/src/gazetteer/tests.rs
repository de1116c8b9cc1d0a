//! The gazetteer against its own table, read the slow way.

use std::collections::HashMap;
use std::fs;

use proptest::prelude::*;

use super::*;

fn resolved(gazetteer: &Gazetteer, name: &str) -> String {
    hinted(gazetteer, name, None, None)
}

fn hinted(gazetteer: &Gazetteer, name: &str, country: Option<&str>, place: Option<(f64, f64)>) -> String {
    let place = place.and_then(|(north, east)| Coordinates::new(north, east));
    gazetteer.resolve(name, country, place).map_or("none".to_owned(), |city| format!("{}, {}", city.name, city.country))
}

#[test]
fn every_line_of_the_shipped_table_is_a_row() {
    let gazetteer = Gazetteer::shipped();
    assert_eq!(gazetteer.rows.len(), SHIPPED.lines().count() - 1);
    assert!(gazetteer.rows.len() > 30_000);
    let cities: Vec<_> = gazetteer.cities().collect();
    assert!(cities.is_sorted_by_key(|city| Reverse(city.population)), "largest first");
    for (line, city) in SHIPPED.lines().skip(1).zip(&cities) {
        assert_eq!(line.split('\t').next(), Some(city.name));
        assert_eq!(Country::from_code(city.country.as_str()), Some(city.country), "{line}");
        assert!(!Folded::of(city.name).as_bytes().is_empty(), "{line}");
    }
}

#[test]
fn other_names_and_spellings_mean_the_city() {
    let gazetteer = Gazetteer::shipped();
    for (spellings, city) in [
        (&["Lisbon", "Lisboa", "lisboa", " LISBOA ", "Lissabon", "リスボン"][..], "Lisbon, PT"),
        (&["München", "Munich", "munchen", "Muenchen", "Monaco di Baviera"], "Munich, DE"),
        (&["Köln", "Cologne", "Koeln", "koln"], "Köln, DE"),
        (&["New York", "NYC", "new-york city"], "New York City, US"),
        (&["St. Petersburg", "Санкт-Петербург"], "Saint Petersburg, RU"),
        (&["Xi'an", "xi’an"], "Xi’an, CN"),
        (&["東京", "Tokyo", "Tōkyō"], "Tokyo, JP"),
        (&["Warszawa", "Warsaw", "Varsovie"], "Warsaw, PL"),
        (&["Roma", "Rome"], "Rome, IT"),
        (&["São Paulo", "sao paulo"], "São Paulo, BR"),
        (&["Porto", "Oporto"], "Porto, PT"),
        (&["Venice", "Venezia"], "Venice, IT"),
    ] {
        for spelling in spellings {
            assert_eq!(resolved(&gazetteer, spelling), city, "{spelling}");
        }
    }
}

#[test]
fn hints_choose_among_cities_of_one_name() {
    let gazetteer = Gazetteer::shipped();
    assert_eq!(resolved(&gazetteer, "Victoria"), "Victoria, CA");
    assert_eq!(hinted(&gazetteer, "Victoria", Some("sc"), None), "Victoria, SC");
    assert_eq!(hinted(&gazetteer, "Victoria", Some("Seychelles"), None), "Victoria, CA");
    assert_eq!(hinted(&gazetteer, "victoria", None, Some((-4.6, 55.4))), "Victoria, SC");
    assert_eq!(hinted(&gazetteer, "Victoria", None, Some((0.0, 0.0))), "Victoria, CA", "too far");
    assert_eq!(hinted(&gazetteer, "London", Some("CA"), Some((51.5, 0.0))), "London, CA");
    assert_eq!(hinted(&gazetteer, "London", Some("UK"), None), "London, GB");
    assert_eq!(hinted(&gazetteer, "Paris", Some("US"), None), "Paris, US");
    assert_eq!(Coordinates::new(90.1, 0.0), None);
    assert_eq!(Coordinates::new(f64::NAN, 0.0), None);
}

#[test]
fn near_is_measured_across_the_date_line() {
    let place = Coordinates::new(-16.8, -179.99).unwrap();
    let line = "Somosomo\tFJ\t1\t-16.80\t179.99\t\n";
    let row = Row::parse(line, 0).unwrap();
    assert!(place.distance_squared(&row) < 0.001);
}

#[test]
fn unknown_names_stand_for_themselves() {
    let gazetteer = Gazetteer::shipped();
    assert_eq!(resolved(&gazetteer, "  Nova  Atlântida! "), "nova atlantida, ZZ");
    assert_eq!(hinted(&gazetteer, "Nova Atlântida", Some("pt"), None), "nova atlantida, PT");
    assert_eq!(hinted(&gazetteer, "Lisbon", Some("JP"), None), "lisbon, JP");
    for nobodys in ["QX", "zz", "XX"] {
        assert_eq!(hinted(&gazetteer, "Nova Atlântida", Some(nobodys), None), "nova atlantida, ZZ");
        assert_eq!(hinted(&gazetteer, "Lisbon", Some(nobodys), None), "Lisbon, PT");
    }
    for nothing in ["", "  ", "?!", "\u{200b}"] {
        assert_eq!(resolved(&gazetteer, nothing), "none");
    }
}

#[test]
fn small_in_memory() {
    let bytes = Gazetteer::shipped().resident_bytes();
    assert!(bytes < 4 << 20, "{bytes}");
}

/// The definition, computed the slow way from the lines: every claim on every name, and a sort.
struct Oracle {
    claims: HashMap<String, Vec<Claim>>,
}

/// Whether by an alias, the population, the line, and the city.
type Claim = (bool, Reverse<u32>, usize, String);

impl Oracle {
    fn new() -> Self {
        let mut claims: HashMap<String, Vec<_>> = HashMap::new();
        for (number, line) in SHIPPED.lines().skip(1).enumerate() {
            let columns: Vec<&str> = line.split('\t').collect();
            let city = format!("{}, {}", columns[0], columns[1]);
            let population = Reverse(columns[2].parse::<u32>().unwrap());
            let aliases = columns[5].split('|').map(|alias| match alias.strip_prefix('!') {
                Some(own) => (own, false),
                None => (alias, true),
            });
            for (name, alias) in std::iter::once((columns[0], false)).chain(aliases) {
                let key = Folded::of(name).as_str().to_owned();
                claims.entry(key).or_default().push((alias, population, number, city.clone()));
            }
        }
        claims.values_mut().for_each(|claims| claims.sort());
        Self { claims }
    }
}

#[test]
fn every_name_of_the_table_means_what_the_definition_says() {
    let gazetteer = Gazetteer::shipped();
    let oracle = Oracle::new();
    for (name, claims) in oracle.claims.iter().filter(|(name, _)| !name.is_empty()) {
        assert_eq!(resolved(&gazetteer, name), claims[0].3, "{name}");
        let last = &claims[claims.len() - 1].3;
        let country = &last[last.len() - 2..];
        let first = claims.iter().find(|claim| claim.3.ends_with(country)).unwrap();
        assert_eq!(hinted(&gazetteer, name, Some(country), None), first.3, "{name} {country}");
    }
}

fn extended(name: &str, content: &str) -> Result<Gazetteer, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    Gazetteer::with_extension(&path).map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), ""))
}

#[test]
fn an_extension_adds_and_overrides() {
    let csv = "name,country,population,aliases\n\
               Atlantis,gr,5000,Atlantide|La Perdue\n\
               \"Springfield, the real\",US,,Springfield\n\
               Lisbon,PT,,Alfacinha\n";
    let gazetteer = extended("own.csv", csv).unwrap();
    assert_eq!(resolved(&gazetteer, "atlantide"), "Atlantis, GR");
    assert_eq!(resolved(&gazetteer, "Springfield"), "Springfield, the real, US");
    assert_eq!(resolved(&gazetteer, "Alfacinha"), "Lisbon, PT");
    assert_eq!(resolved(&gazetteer, "Porto"), "Porto, PT", "the shipped table stays");
    assert_eq!(gazetteer.cities().last().unwrap().name, "Lisbon");
    assert_eq!(gazetteer.aliases(gazetteer.rows.len() - 1).collect::<Vec<_>>(), ["Alfacinha"]);

    let tsv = "\u{feff}country\tname\tlatitude\tlongitude\nFR\tParis\t48.85\t2.35\r\n";
    let gazetteer = extended("own.tsv", tsv).unwrap();
    assert_eq!(resolved(&gazetteer, "paris"), "Paris, FR");
}

#[test]
fn an_extension_can_bring_a_country() {
    let gazetteer = extended("own.csv", "name,country\nAtlantis,QX\n").unwrap();
    assert!(gazetteer.knows_country(Country::from_code("qx").unwrap()));
    assert_eq!(resolved(&gazetteer, "Atlantis"), "Atlantis, QX");
    assert_eq!(hinted(&gazetteer, "Nova Atlântida", Some("qx"), None), "nova atlantida, QX");
}

/// Which countries there are, read off the lines.
#[test]
fn a_country_is_one_that_some_city_lies_in() {
    let gazetteer = Gazetteer::shipped();
    let lines: std::collections::HashSet<&str> =
        SHIPPED.lines().skip(1).filter_map(|line| line.split('\t').nth(1)).collect();
    for code in (b'A'..=b'Z').flat_map(|first| (b'A'..=b'Z').map(move |second| [first, second])) {
        let known = lines.contains(std::str::from_utf8(&code).unwrap());
        assert_eq!(gazetteer.knows_country(Country(code)), known, "{}", Country(code));
        let resolved = hinted(&gazetteer, "nova atlantida", Some(Country(code).as_str()), None);
        let written_otherwise = [*b"UK", *b"EL"].contains(&code);
        assert_eq!(resolved == "nova atlantida, ZZ", !known && !written_otherwise, "{resolved}");
    }
}

#[test]
fn a_wrong_extension_is_refused_with_its_line() {
    for (content, said) in [
        ("name,country\nAtlantis,Greece\n", "/own.csv, line 2: `country` must be"),
        ("name,country\nA,GR\n\"B\nC\",GR\n", "/own.csv, line 3: a name cannot hold a tab"),
        ("name,country\n?!,GR\n", "/own.csv, line 2: `name` must have"),
        ("name,country,latitude\nA,GR,91\n", "/own.csv, line 2: `latitude` must be degrees"),
        ("name,country,population\nA,GR,many\n", "/own.csv, line 2: `population` must be"),
        ("name,country,people\nA,GR,1\n", "/own.csv, line 1: unknown column `people`"),
        ("name\nA\n", "/own.csv, line 1: the first line must name"),
        ("", "/own.csv, line 1: the first line must name"),
        ("name,country\nA,GR\nB,GR,7\n", "/own.csv, line 3: CSV error"),
    ] {
        let error = extended("own.csv", content).unwrap_err();
        assert!(error.starts_with(said), "{content:?}: {error}");
    }
    let missing = Gazetteer::with_extension(Path::new("/no/such/file.csv")).unwrap_err();
    assert!(missing.to_string().contains("/no/such/file.csv"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_name_and_hints_give_a_bounded_answer(
        name in "\\PC{0,80}",
        country in proptest::option::of("\\PC{0,4}"),
        north in -100.0..100.0,
        east in -200.0..200.0,
    ) {
        thread_local!(static SHARED: Gazetteer = Gazetteer::shipped());
        SHARED.with(|gazetteer| {
            let place = Coordinates::new(north, east);
            if let Some(city) = gazetteer.resolve(&name, country.as_deref(), place) {
                assert!((1..=128).contains(&city.name.len()));
                // A known city's own name leads back to a city of that name.
                let again = gazetteer.resolve(&city.name, Some(city.country.as_str()), None);
                assert_eq!(again.unwrap().country, city.country);
            }
        });
    }
}
