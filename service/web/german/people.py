"""German for login, account, and results that are opened with a reason."""

from typing import Final

GERMAN: Final[dict[str, str]] = {
    "Log in": "Anmelden",
    "Measures of the paraspinal muscles on MRI.": "Messwerte der Rückenmuskulatur in der MRT.",
    "Log in with {provider}": "Anmelden mit {provider}",
    "With a password of this service": "Mit einem Passwort dieses Dienstes",
    "User name": "Benutzername",
    "Password": "Passwort",
    "Logins, refused ones too, and every view of patient data are recorded.": (
        "Anmeldungen, auch abgelehnte, und jeder Einblick in Patientendaten werden aufgezeichnet."
    ),
    "You are logged out here. Your login at the provider may go on.": (
        "Sie sind hier abgemeldet. Ihre Anmeldung beim Anbieter besteht vielleicht weiter."
    ),
    "End it there too": "Auch dort abmelden",
    "There were too many tries by the provider from your address. Wait five minutes.": (
        "Von Ihrer Adresse kamen zu viele Versuche über den Anbieter. Bitte fünf Minuten warten."
    ),
    "The name or the password is not right, or there were too many tries; after five, wait five minutes.": (
        "Name oder Passwort stimmt nicht, oder es waren zu viele Versuche; nach fünf bitte fünf Minuten "
        "warten."
    ),
    "This login was not begun in this browser, or too long ago. Begin again.": (
        "Diese Anmeldung wurde nicht in diesem Browser begonnen, oder vor zu langer Zeit. "
        "Bitte von vorn beginnen."
    ),
    "The provider cannot be reached at the moment.": "Der Anbieter ist zurzeit nicht erreichbar.",
    "The answer of the provider cannot be used. The audit record has the reason.": (
        "Die Antwort des Anbieters ist nicht verwendbar. Der Grund steht im Audit-Protokoll."
    ),
    "The provider let nobody in.": "Der Anbieter hat niemanden angemeldet.",
    "The provider knows you, but it gives you no role here. Ask whoever gives out roles.": (
        "Der Anbieter kennt Sie, gibt Ihnen aber hier keine Rolle. Bitte wenden Sie sich an die Stelle, "
        "die Rollen vergibt."
    ),
    "An administrator has disabled this account.": "Die Verwaltung hat dieses Konto gesperrt.",
    "Account": "Konto",
    "Role: {role}. A login ends after {minutes} minutes without use.": (
        "Rolle: {role}. Eine Anmeldung endet nach {minutes} Minuten ohne Nutzung."
    ),
    "You log in at the provider; name, password and role are kept there.": (
        "Sie melden sich beim Anbieter an; Name, Passwort und Rolle werden dort geführt."
    ),
    "This is a one-time password. Choose your own to go on.": (
        "Das ist ein Einmalpasswort. Wählen Sie ein eigenes, um fortzufahren."
    ),
    "Change the password": "Passwort ändern",
    "Current password": "Bisheriges Passwort",
    "New password": "Neues Passwort",
    "at least {count} characters; a sentence is fine": "mindestens {count} Zeichen; gern ein ganzer Satz",
    "New password, again": "Neues Passwort noch einmal",
    "The new password was not repeated alike.": "Das neue Passwort wurde nicht gleich wiederholt.",
    "The new password is the old one.": "Das neue Passwort ist das alte.",
    "The current password is not right.": "Das bisherige Passwort stimmt nicht.",
    "A password has 12 to 128 characters.": "Ein Passwort hat 12 bis 128 Zeichen.",
    "This password is too easy to guess.": "Dieses Passwort ist zu leicht zu erraten.",
    "There is no password here that could be changed.": "Hier gibt es kein Passwort, das zu ändern wäre.",
    "Open results": "Ergebnisse öffnen",
    (
        "Your role shows no results. For {minutes} minutes you can open them by giving a reason. The opening "
        "and everything that you look at is recorded, the reason is listed for administrators and auditors, "
        "and those in charge are told."
    ): (
        "Ihre Rolle zeigt keine Ergebnisse. Mit einer Begründung können Sie sie für {minutes} Minuten "
        "öffnen. "
        "Die Öffnung und alles, was Sie ansehen, wird aufgezeichnet, die Begründung steht in einer Liste für "
        "Verwaltung und Revision, und die Zuständigen werden benachrichtigt."
    ),
    "at least {count} characters; name no patient": "mindestens {count} Zeichen; keine Patienten nennen",
    "Openings": "Öffnungen",
    (
        "Results that somebody opened for a limited time by giving a reason, although the role does not show "
        "them."
    ): (
        "Ergebnisse, die jemand mit einer Begründung für begrenzte Zeit geöffnet hat, obwohl die Rolle sie "
        "nicht zeigt."
    ),
    "An opening lasts {minutes} minutes at most.": "Eine Öffnung dauert höchstens {minutes} Minuten.",
    "The settings do not allow it at present.": "Die Einstellungen lassen das zurzeit nicht zu.",
    "What was looked at stands in the audit record.": "Was angesehen wurde, steht im Audit-Protokoll.",
    "Number||of a thing": "Nummer",
    "Who": "Wer",
    "Role": "Rolle",
    "Opened": "Geöffnet",
    "Ended": "Beendet",
    "open until": "offen bis",
    "Nobody has opened results so far.": "Bisher hat niemand Ergebnisse geöffnet.",
    "You opened results although your role does not show them. They close at {at} UTC.": (
        "Sie haben Ergebnisse geöffnet, obwohl Ihre Rolle sie nicht zeigt. Sie schließen sich um {at} UTC."
    ),
    "Close results": "Ergebnisse schließen",
    "Results are open. Everything that you look at is recorded with this opening.": (
        "Ergebnisse sind geöffnet. Alles, was Sie ansehen, wird mit dieser Öffnung aufgezeichnet."
    ),
    "Results are closed again.": "Die Ergebnisse sind wieder geschlossen.",
    "To open results, say why in at least ten characters.": (
        "Wer Ergebnisse öffnen will, begründet das mit mindestens zehn Zeichen."
    ),
    "opening": "Öffnung",
    "results opened": "Ergebnisse geöffnet",
    "results closed": "Ergebnisse geschlossen",
    "role changed": "Rolle geändert",
    "user enabled": "Benutzer freigegeben",
    "People and keys": "Personen und Schlüssel",
    "Every change is in the audit record. What each role may do stands in the documentation.": (
        "Jede Änderung steht im Audit-Protokoll. Was welche Rolle darf, steht in der Dokumentation."
    ),
    (
        "Two administrators are asked for what is put into force: therefore administrators are made, and get "
        "new passwords, on the machine alone."
    ): (
        "Was gelten soll, bestätigen zwei Personen der Verwaltung: Darum entstehen Konten der Verwaltung und "
        "ihre neuen Passwörter allein auf der Maschine."
    ),
    "The key {name}, shown this once:": "Der Schlüssel {name}, nur dieses eine Mal gezeigt:",
    "The one-time password of {name}, shown this once:": (
        "Das Einmalpasswort von {name}, nur dieses eine Mal gezeigt:"
    ),
    "Add an account": "Konto anlegen",
    "Role of {name}": "Rolle von {name}",
    "Give {name} this role": "{name} diese Rolle geben",
    "Give this role": "Diese Rolle geben",
    "disabled": "gesperrt",
    "locked after wrong tries until {at} UTC": "nach falschen Versuchen gesperrt bis {at} UTC",
    "has a one-time password": "hat ein Einmalpasswort",
    "may log in": "darf sich anmelden",
    "logs in at {issuer}": "meldet sich bei {issuer} an",
    "Let {name} in again": "{name} wieder zulassen",
    "Let in again": "Wieder zulassen",
    "Disable {name}": "{name} sperren",
    "Disable": "Sperren",
    "New one-time password for {name}": "Neues Einmalpasswort für {name}",
    "New one-time password": "Neues Einmalpasswort",
    "your own account": "das eigene Konto",
    "Keys of programs": "Schlüssel von Programmen",
    "Add a key": "Schlüssel anlegen",
    "Name of the program": "Name des Programms",
    "Valid for days; empty: until it is revoked": "Gültig für Tage; leer: bis zum Widerruf",
    "Last used": "Zuletzt benutzt",
    "revoked||a key": "widerrufen",
    "ended||a key": "abgelaufen",
    "valid until": "gültig bis",
    "valid until it is revoked": "gültig bis zum Widerruf",
    "Revoke the key {name}": "Schlüssel {name} widerrufen",
    "Revoke": "Widerrufen",
    "There is no key.": "Es gibt keinen Schlüssel.",
    "The role is changed. Logins of this person have ended.": (
        "Die Rolle ist geändert. Anmeldungen dieser Person sind beendet."
    ),
    "The account is disabled. Logins of this person have ended.": (
        "Das Konto ist gesperrt. Anmeldungen dieser Person sind beendet."
    ),
    "The account may log in again.": "Das Konto darf sich wieder anmelden.",
    "The key lets nobody in any more.": "Der Schlüssel lässt niemanden mehr ein.",
}
