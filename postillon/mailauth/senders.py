"""Well-known senders of other people's mail, by the domain that their signatures or envelope senders have."""

from __future__ import annotations

PROVIDERS: dict[str, str] = {
    "google.com": "Google",
    "gmail.com": "Google",
    "googlemail.com": "Google",
    "gappssmtp.com": "Google Workspace",
    "googlegroups.com": "Google Groups",
    "onmicrosoft.com": "Microsoft 365",
    "outlook.com": "Microsoft",
    "hotmail.com": "Microsoft",
    "protection.outlook.com": "Microsoft 365",
    "amazonses.com": "Amazon SES",
    "sendgrid.net": "SendGrid",
    "mailgun.org": "Mailgun",
    "mailgun.net": "Mailgun",
    "mcsv.net": "Mailchimp",
    "mcdlv.net": "Mailchimp",
    "rsgsv.net": "Mailchimp",
    "mandrillapp.com": "Mailchimp Transactional",
    "mtasv.net": "Postmark",
    "sparkpostmail.com": "SparkPost",
    "sendinblue.com": "Brevo",
    "brevo.com": "Brevo",
    "mailjet.com": "Mailjet",
    "constantcontact.com": "Constant Contact",
    "hubspotemail.net": "HubSpot",
    "hubspot.com": "HubSpot",
    "salesforce.com": "Salesforce",
    "exacttarget.com": "Salesforce Marketing Cloud",
    "zendesk.com": "Zendesk",
    "freshdesk.com": "Freshdesk",
    "intercom-mail.com": "Intercom",
    "atlassian.net": "Atlassian",
    "zoho.com": "Zoho",
    "zohomail.com": "Zoho",
    "messagingengine.com": "Fastmail",
    "fastmail.com": "Fastmail",
    "protonmail.ch": "Proton",
    "proton.me": "Proton",
    "icloud.com": "Apple iCloud",
    "yahoo.com": "Yahoo",
    "yahoodns.net": "Yahoo",
    "ovh.net": "OVHcloud",
    "gandi.net": "Gandi",
    "infomaniak.ch": "Infomaniak",
    "kundenserver.de": "IONOS",
    "strato.de": "Strato",
    "github.com": "GitHub",
    "klaviyomail.com": "Klaviyo",
    "cmail20.com": "Campaign Monitor",
    "createsend.com": "Campaign Monitor",
    "mimecast.com": "Mimecast",
    "pphosted.com": "Proofpoint",
    "barracudanetworks.com": "Barracuda",
}


def provider(domain: str) -> str:
    """Whose *domain* (canonical) is, by the nearest name above it that is known; or empty."""
    labels = domain.split(".")[-6:]
    return next((PROVIDERS[name] for at in range(len(labels) - 1) if (name := ".".join(labels[at:])) in PROVIDERS), "")
