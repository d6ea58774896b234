"""Django's own middleware, by the names that ``MIDDLEWARE`` has for it."""

from __future__ import annotations

SECURITY = "django.middleware.security.SecurityMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
CSRF = "django.middleware.csrf.CsrfViewMiddleware"
AUTH = "django.contrib.auth.middleware.AuthenticationMiddleware"
MESSAGES = "django.contrib.messages.middleware.MessageMiddleware"
FRAME = "django.middleware.clickjacking.XFrameOptionsMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
BROKEN_LINKS = "django.middleware.common.BrokenLinkEmailsMiddleware"
LOCALE = "django.middleware.locale.LocaleMiddleware"
CONDITIONAL = "django.middleware.http.ConditionalGetMiddleware"
CSP = "django.middleware.csp.ContentSecurityPolicyMiddleware"  # Django 6.0 and later
REMOTE_USER = "django.contrib.auth.middleware.RemoteUserMiddleware"
PERSISTENT_REMOTE_USER = "django.contrib.auth.middleware.PersistentRemoteUserMiddleware"
LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
SITE = "django.contrib.sites.middleware.CurrentSiteMiddleware"
