//! Where an address is: `@geoLookup`.

use super::address::address;
use super::contract::{BuildError, Built, Found, Lookup, Operator, Outcome, Resources};
use maxminddb::{Reader, geoip2};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// `@geoLookup`. Without a database it never matches, as in ModSecurity: CRS 3 has such a rule whether or not
/// `SecGeoLookupDB` is set.
pub(super) fn geo_lookup(_: Option<&str>, resources: &dyn Resources) -> Built {
    let database = match resources.geo_database() {
        None => None,
        Some(bytes) => Some(Reader::from_source(bytes).map_err(|e| {
            BuildError::new(format!("the database of `SecGeoLookupDB` cannot be read: {e}"))
                .help("name a City or Country database in MaxMind's DB format (`.mmdb`)")
        })?),
    };
    Ok(Arc::new(GeoLookup { database }))
}

struct GeoLookup {
    database: Option<Reader<Arc<[u8]>>>,
}

impl fmt::Debug for GeoLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.database.as_ref().map(|d| d.metadata.database_type.as_str());
        f.debug_tuple("GeoLookup").field(&kind).finish()
    }
}

impl Operator for GeoLookup {
    fn evaluate(&self, input: &[u8], _: &[u8], _: &dyn Lookup, found: &mut Found) -> Outcome {
        let (Some(database), Some(address)) = (&self.database, address(input)) else {
            return Outcome::NoMatch;
        };
        // The reader would take the address's first 32 bits for one of IPv4.
        if address.is_ipv6() && database.metadata.ip_version == 4 {
            return Outcome::NoMatch;
        }
        let Ok(Some(record)) = database.lookup::<geoip2::City<'_>>(address) else { return Outcome::NoMatch };
        found.geo = members(&record);
        found.matched = Some(0..input.len());
        Outcome::Match
    }

    fn inert(&self) -> Option<&'static str> {
        self.database
            .is_none()
            .then_some("there is no database, which SecGeoLookupDb must name before this rule")
    }
}

fn members(record: &geoip2::City<'_>) -> Vec<(&'static str, String)> {
    let country = record.country.as_ref();
    let code = country.and_then(|c| c.iso_code);
    let region = record.subdivisions.as_ref().and_then(|s| s.first());
    let location = record.location.as_ref();
    let text = |value: Option<&str>| value.map(str::to_owned);
    let members = [
        ("COUNTRY_CODE", text(code)),
        ("COUNTRY_CODE3", text(code.and_then(alpha_3))),
        ("COUNTRY_NAME", english(country.and_then(|c| c.names.as_ref()))),
        ("COUNTRY_CONTINENT", text(record.continent.as_ref().and_then(|c| c.code))),
        ("REGION", text(region.and_then(|r| r.iso_code))),
        ("CITY", english(record.city.as_ref().and_then(|c| c.names.as_ref()))),
        ("POSTAL_CODE", text(record.postal.as_ref().and_then(|p| p.code))),
        ("LATITUDE", location.and_then(|l| l.latitude).map(|degrees| format!("{degrees:.6}"))),
        ("LONGITUDE", location.and_then(|l| l.longitude).map(|degrees| format!("{degrees:.6}"))),
        ("DMA_CODE", location.and_then(|l| l.metro_code).map(|code| code.to_string())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn english(names: Option<&BTreeMap<&str, &str>>) -> Option<String> {
    names.and_then(|names| names.get("en")).map(|name| (*name).to_owned())
}

/// The three letters of ISO 3166-1 for its two: the database has only the latter.
fn alpha_3(alpha_2: &str) -> Option<&'static str> {
    let rows = COUNTRIES.split_ascii_whitespace();
    rows.into_iter()
        .find_map(|row| row.split_once(':').filter(|(two, _)| *two == alpha_2))
        .map(|(_, three)| three)
}

/// ISO 3166-1, alpha-2 and alpha-3, and Kosovo's reserved code.
const COUNTRIES: &str = "\
    AD:AND AE:ARE AF:AFG AG:ATG AI:AIA AL:ALB AM:ARM AO:AGO AQ:ATA AR:ARG AS:ASM AT:AUT AU:AUS AW:ABW AX:ALA \
    AZ:AZE BA:BIH BB:BRB BD:BGD BE:BEL BF:BFA BG:BGR BH:BHR BI:BDI BJ:BEN BL:BLM BM:BMU BN:BRN BO:BOL BQ:BES \
    BR:BRA BS:BHS BT:BTN BV:BVT BW:BWA BY:BLR BZ:BLZ CA:CAN CC:CCK CD:COD CF:CAF CG:COG CH:CHE CI:CIV CK:COK \
    CL:CHL CM:CMR CN:CHN CO:COL CR:CRI CU:CUB CV:CPV CW:CUW CX:CXR CY:CYP CZ:CZE DE:DEU DJ:DJI DK:DNK DM:DMA \
    DO:DOM DZ:DZA EC:ECU EE:EST EG:EGY EH:ESH ER:ERI ES:ESP ET:ETH FI:FIN FJ:FJI FK:FLK FM:FSM FO:FRO FR:FRA \
    GA:GAB GB:GBR GD:GRD GE:GEO GF:GUF GG:GGY GH:GHA GI:GIB GL:GRL GM:GMB GN:GIN GP:GLP GQ:GNQ GR:GRC GS:SGS \
    GT:GTM GU:GUM GW:GNB GY:GUY HK:HKG HM:HMD HN:HND HR:HRV HT:HTI HU:HUN ID:IDN IE:IRL IL:ISR IM:IMN IN:IND \
    IO:IOT IQ:IRQ IR:IRN IS:ISL IT:ITA JE:JEY JM:JAM JO:JOR JP:JPN KE:KEN KG:KGZ KH:KHM KI:KIR KM:COM KN:KNA \
    KP:PRK KR:KOR KW:KWT KY:CYM KZ:KAZ LA:LAO LB:LBN LC:LCA LI:LIE LK:LKA LR:LBR LS:LSO LT:LTU LU:LUX LV:LVA \
    LY:LBY MA:MAR MC:MCO MD:MDA ME:MNE MF:MAF MG:MDG MH:MHL MK:MKD ML:MLI MM:MMR MN:MNG MO:MAC MP:MNP MQ:MTQ \
    MR:MRT MS:MSR MT:MLT MU:MUS MV:MDV MW:MWI MX:MEX MY:MYS MZ:MOZ NA:NAM NC:NCL NE:NER NF:NFK NG:NGA NI:NIC \
    NL:NLD NO:NOR NP:NPL NR:NRU NU:NIU NZ:NZL OM:OMN PA:PAN PE:PER PF:PYF PG:PNG PH:PHL PK:PAK PL:POL PM:SPM \
    PN:PCN PR:PRI PS:PSE PT:PRT PW:PLW PY:PRY QA:QAT RE:REU RO:ROU RS:SRB RU:RUS RW:RWA SA:SAU SB:SLB SC:SYC \
    SD:SDN SE:SWE SG:SGP SH:SHN SI:SVN SJ:SJM SK:SVK SL:SLE SM:SMR SN:SEN SO:SOM SR:SUR SS:SSD ST:STP SV:SLV \
    SX:SXM SY:SYR SZ:SWZ TC:TCA TD:TCD TF:ATF TG:TGO TH:THA TJ:TJK TK:TKL TL:TLS TM:TKM TN:TUN TO:TON TR:TUR \
    TT:TTO TV:TUV TW:TWN TZ:TZA UA:UKR UG:UGA UM:UMI US:USA UY:URY UZ:UZB VA:VAT VC:VCT VE:VEN VG:VGB VI:VIR \
    VN:VNM VU:VUT WF:WLF WS:WSM XK:XKX YE:YEM YT:MYT ZA:ZAF ZM:ZMB ZW:ZWE";
