//! The rule files inside the binary.

/// A file of the core ruleset.
macro_rules! core {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/rulesets/core/", $name))
    };
}

/// A pack of exclusions for an application, with its name.
macro_rules! exclusions {
    ($name:literal) => {
        (
            concat!("@exclusions/", $name, ".yaml"),
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/rulesets/exclusions/", $name, ".yaml")),
        )
    };
}

/// A virtual patch of the catalogue, with its name.
macro_rules! patch {
    ($name:literal) => {
        (
            concat!("@virtual-patches/", $name, ".yaml"),
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/rulesets/virtual-patches/", $name, ".yaml")),
        )
    };
}

/// Name and content of every embedded file, sorted by name; for [`EmbeddedLoader`].
///
/// `@engine.conf` holds the engine's own settings, for rules that bring none. Beneath `@virtual-patches/` is the
/// catalogue of virtual patches, beneath `@exclusions/` the packs of exclusions for applications.
///
/// `@portcullis-core` and `@portcullis-core.conf` are the same file: the ruleset's entry, which includes the others.
///
/// [`EmbeddedLoader`]: crate::syntax::seclang::EmbeddedLoader
pub const EMBEDDED: &[(&str, &[u8])] = &[
    ("@engine.conf", include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/engine.conf"))),
    exclusions!("cpanel"),
    exclusions!("dokuwiki"),
    exclusions!("drupal"),
    exclusions!("joomla"),
    exclusions!("mediawiki"),
    exclusions!("nextcloud"),
    exclusions!("phpbb"),
    exclusions!("phpmyadmin"),
    exclusions!("roundcube"),
    exclusions!("wordpress"),
    exclusions!("xenforo"),
    ("@portcullis-core", core!("portcullis-core.conf")),
    ("@portcullis-core.conf", core!("portcullis-core.conf")),
    ("@portcullis-core/10-engine.conf", core!("10-engine.conf")),
    ("@portcullis-core/11-variables.conf", core!("11-variables.conf")),
    ("@portcullis-core/12-body.conf", core!("12-body.conf")),
    ("@portcullis-core/30-protocol.yaml", core!("30-protocol.yaml")),
    ("@portcullis-core/31-scanners.yaml", core!("31-scanners.yaml")),
    ("@portcullis-core/32-mail-and-headers.yaml", core!("32-mail-and-headers.yaml")),
    ("@portcullis-core/33-sessions.yaml", core!("33-sessions.yaml")),
    ("@portcullis-core/40-files.yaml", core!("40-files.yaml")),
    ("@portcullis-core/41-urls.yaml", core!("41-urls.yaml")),
    ("@portcullis-core/42-uploads.yaml", core!("42-uploads.yaml")),
    ("@portcullis-core/43-ssrf.yaml", core!("43-ssrf.yaml")),
    ("@portcullis-core/50-sql.yaml", core!("50-sql.yaml")),
    ("@portcullis-core/51-xss.yaml", core!("51-xss.yaml")),
    ("@portcullis-core/52-commands.yaml", core!("52-commands.yaml")),
    ("@portcullis-core/53-php.yaml", core!("53-php.yaml")),
    ("@portcullis-core/54-java.yaml", core!("54-java.yaml")),
    ("@portcullis-core/55-templates.yaml", core!("55-templates.yaml")),
    ("@portcullis-core/56-queries.yaml", core!("56-queries.yaml")),
    ("@portcullis-core/57-xml.yaml", core!("57-xml.yaml")),
    ("@portcullis-core/58-objects.yaml", core!("58-objects.yaml")),
    ("@portcullis-core/59-graphql.yaml", core!("59-graphql.yaml")),
    ("@portcullis-core/60-node.yaml", core!("60-node.yaml")),
    ("@portcullis-core/61-encoded.yaml", core!("61-encoded.yaml")),
    ("@portcullis-core/62-expressions.yaml", core!("62-expressions.yaml")),
    ("@portcullis-core/63-markup.yaml", core!("63-markup.yaml")),
    ("@portcullis-core/64-base64.yaml", core!("64-base64.yaml")),
    ("@portcullis-core/70-artefacts.yaml", core!("70-artefacts.yaml")),
    ("@portcullis-core/80-decide-request.conf", core!("80-decide-request.conf")),
    ("@portcullis-core/81-unreadable.yaml", core!("81-unreadable.yaml")),
    ("@portcullis-core/90-responses.yaml", core!("90-responses.yaml")),
    ("@portcullis-core/91-leaks.yaml", core!("91-leaks.yaml")),
    ("@portcullis-core/95-decide-response.conf", core!("95-decide-response.conf")),
    patch!("cve-2012-1823-php-cgi-options"),
    patch!("cve-2014-6271-shellshock"),
    patch!("cve-2014-9734-revslider-show-image"),
    patch!("cve-2015-8562-joomla-session"),
    patch!("cve-2016-3088-activemq-fileserver"),
    patch!("cve-2017-1001000-wp-rest-content"),
    patch!("cve-2017-12615-tomcat-put-jsp"),
    patch!("cve-2017-5638-struts-ognl"),
    patch!("cve-2017-9248-telerik-dialogs"),
    patch!("cve-2017-9841-phpunit-eval-stdin"),
    patch!("cve-2018-1000861-jenkins-stapler"),
    patch!("cve-2018-11776-struts-namespace"),
    patch!("cve-2018-12613-phpmyadmin-target"),
    patch!("cve-2018-13379-fortios-traversal"),
    patch!("cve-2018-20062-thinkphp-rce"),
    patch!("cve-2018-7600-drupalgeddon2"),
    patch!("cve-2019-11510-pulse-traversal"),
    patch!("cve-2019-11581-jira-templates"),
    patch!("cve-2019-16759-vbulletin-widget-php"),
    patch!("cve-2019-17558-solr-velocity"),
    patch!("cve-2019-18935-telerik-upload"),
    patch!("cve-2019-19781-citrix-traversal"),
    patch!("cve-2019-7609-kibana-timelion"),
    patch!("cve-2019-9670-zimbra-xxe"),
    patch!("cve-2020-10148-solarwinds-orion"),
    patch!("cve-2020-11738-duplicator-download"),
    patch!("cve-2020-14882-weblogic-console"),
    patch!("cve-2020-17496-vbulletin-subwidgets"),
    patch!("cve-2020-25213-wp-file-manager"),
    patch!("cve-2020-5902-f5-tmui"),
    patch!("cve-2021-21972-vcenter-uploadova"),
    patch!("cve-2021-22205-gitlab-exiftool"),
    patch!("cve-2021-26084-confluence-ognl"),
    patch!("cve-2021-26855-exchange-proxylogon"),
    patch!("cve-2021-3129-laravel-ignition"),
    patch!("cve-2021-34473-exchange-proxyshell"),
    patch!("cve-2021-40539-manageengine-restapi"),
    patch!("cve-2021-41773-apache-path-traversal"),
    patch!("cve-2021-43798-grafana-plugin-files"),
    patch!("cve-2021-44228-log4shell"),
    patch!("cve-2022-1388-f5-icontrol"),
    patch!("cve-2022-22947-spring-cloud-gateway"),
    patch!("cve-2022-22954-workspace-one"),
    patch!("cve-2022-22963-spring-cloud-function"),
    patch!("cve-2022-22965-spring4shell"),
    patch!("cve-2022-24086-magento-template"),
    patch!("cve-2022-26134-confluence-ognl"),
    patch!("cve-2022-27925-zimbra-mboximport"),
    patch!("cve-2022-36804-bitbucket-arguments"),
    patch!("cve-2022-40684-fortios-admin"),
    patch!("cve-2022-41678-activemq-jolokia"),
    patch!("cve-2022-46169-cacti-remote-agent"),
    patch!("cve-2023-22515-confluence-setup"),
    patch!("cve-2023-22518-confluence-restore"),
    patch!("cve-2023-23752-joomla-api"),
    patch!("cve-2023-28121-woocommerce-payments"),
    patch!("cve-2023-32315-openfire-setup"),
    patch!("cve-2023-34362-moveit-transfer"),
    patch!("cve-2023-35078-ivanti-epmm"),
    patch!("cve-2023-38646-metabase-setup"),
    patch!("cve-2023-46805-ivanti-connect-secure"),
    patch!("cve-2023-4966-citrix-bleed"),
    patch!("cve-2023-50164-struts-upload"),
    patch!("cve-2023-51467-ofbiz-auth-bypass"),
    patch!("cve-2024-0012-pan-os-management"),
    patch!("cve-2024-1709-screenconnect-setup"),
    patch!("cve-2024-23897-jenkins-cli"),
    patch!("cve-2024-24919-check-point-files"),
    patch!("cve-2024-25600-bricks-render-element"),
    patch!("cve-2024-27198-teamcity-jsp"),
    patch!("cve-2024-27956-wp-automatic-sqli"),
    patch!("cve-2024-28995-serv-u-traversal"),
    patch!("cve-2024-3400-globalprotect-session"),
    patch!("cve-2024-34102-magento-xxe"),
    patch!("cve-2024-36401-geoserver-xpath"),
    patch!("cve-2024-38856-ofbiz-view-override"),
    patch!("cve-2024-4040-crushftp-templates"),
    patch!("cve-2024-4577-php-cgi-soft-hyphen"),
    patch!("cve-2024-4956-nexus-traversal"),
    patch!("cve-2025-24813-tomcat-partial-put"),
    patch!("cve-2025-29927-nextjs-middleware"),
    patch!("cve-2025-31324-sap-metadatauploader"),
    patch!("cve-2025-32432-craft-transform"),
    patch!("cve-2025-4427-ivanti-epmm-format"),
    patch!("cve-2025-53770-sharepoint-toolpane"),
    patch!("cve-2025-55182-react-server-components"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_core_ruleset_is_embedded_under_its_name() {
        assert!(EMBEDDED.is_sorted_by(|(a, _), (b, _)| a < b));
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rulesets/core");
        for file in std::fs::read_dir(directory).expect("the directory is there") {
            let file = file.expect("it is readable");
            let name = file.file_name().into_string().expect("names are ASCII");
            let embedded = match name.as_str() {
                "portcullis-core.conf" => "@portcullis-core.conf".to_owned(),
                other => format!("@portcullis-core/{other}"),
            };
            let content = EMBEDDED.iter().find(|(n, _)| *n == embedded).map(|(_, c)| *c);
            let written = std::fs::read(file.path()).expect("it is readable");
            assert_eq!(content, Some(written.as_slice()), "{embedded}");
        }
    }

    #[test]
    fn every_virtual_patch_and_every_pack_is_embedded() {
        for (kind, row) in [("virtual-patches", "patch!"), ("exclusions", "exclusions!")] {
            let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rulesets").join(kind);
            for file in std::fs::read_dir(directory).expect("the directory is there") {
                let name = file.expect("it is readable").file_name().into_string().expect("names are ASCII");
                let embedded = format!("@{kind}/{name}");
                assert!(
                    EMBEDDED.iter().any(|(known, _)| *known == embedded),
                    "{row}(..) for {name} is missing"
                );
            }
        }
    }
}
