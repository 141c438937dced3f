"""Print pip's index settings as variables of uv, ``NAME=VALUE`` a line.

uv reads no pip.conf and no ``PIP_*``, so that behind a mirror one half of an installation would
work. pip itself is not asked (``pip config list``), because Debian's Python comes without it.
What uv was told in its own variables or in a uv.toml stays.
"""

import configparser
import os
import sys
from pathlib import Path

# pip's option: uv's variables for it, of which the first is set unless one of them is.
INDEXES = {
    "index-url": ("UV_DEFAULT_INDEX", "UV_INDEX_URL"),
    "extra-index-url": ("UV_INDEX", "UV_EXTRA_INDEX_URL"),
    "find-links": ("UV_FIND_LINKS",),
    # uv has the option and no variable: packages.sh passes it on.
    "no-index": ("UV_NO_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL"),
}
CONNECTION = {
    "trusted-host": ("UV_INSECURE_HOST",),
    "keyring-provider": ("UV_KEYRING_PROVIDER",),
    "client-cert": ("SSL_CLIENT_CERT",),
    "proxy": ("ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"),
}


def config_files() -> list[Path]:
    """List pip's configuration files, the later ones winning."""
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return []
    home = Path.home()
    shared = [folder for folder in os.environ.get("XDG_CONFIG_DIRS", "").split(":") if folder]
    files = [Path(folder) / "pip/pip.conf" for folder in reversed(shared or ["/etc/xdg"])]
    files += [Path("/etc/pip.conf"), home / ".pip/pip.conf"]
    files.append(Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config") / "pip/pip.conf")
    files.append(Path(sys.prefix) / "pip.conf")
    return files + ([Path(named)] if named else [])


def pip_settings() -> dict[str, str]:
    """Merge pip's files and environment."""
    settings: dict[str, str] = {}
    for path in config_files():
        parser = configparser.RawConfigParser()
        try:
            parser.read(path, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError) as error:
            print(f"{path} is not read: {error}", file=sys.stderr)
            continue
        for section in ("global", "install"):
            if parser.has_section(section):
                for name, value in parser.items(section):
                    settings[name.replace("_", "-")] = value
    for name, value in os.environ.items():
        if name.startswith("PIP_") and value:
            settings[name[len("PIP_") :].lower().replace("_", "-")] = value
    return settings


def uv_config_files() -> list[Path]:
    """List the files that uv reads, the later ones winning."""
    named = os.environ.get("UV_CONFIG_FILE")
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    files = [named] if named else ["/etc/uv/uv.toml", Path(home) / "uv/uv.toml"]
    return [Path(path) for path in files if Path(path).is_file()]


def uv_configures_indexes() -> bool:
    """Tell whether a uv.toml of the user or the system names an index."""
    texts = [path.read_text("utf-8") for path in uv_config_files()]
    return any("index" in text or "find-links" in text for text in texts)


def uv_variables() -> dict[str, str]:
    """Translate what uv has not been told itself."""
    settings = pip_settings()
    # The latter two are read by requests, which pip downloads with.
    cert = settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE")
    settings["cert"] = cert or os.environ.get("CURL_CA_BUNDLE", "")
    if settings.get("keyring-provider") != "subprocess":
        settings.pop("keyring-provider", None)  # the only one that uv has too
    if settings.get("no-index", "").lower() in ("1", "true", "t", "yes", "y", "on"):
        settings["no-index"] = "1"
    else:
        settings.pop("no-index", None)
    options = dict(CONNECTION) if uv_configures_indexes() else {**INDEXES, **CONNECTION}
    certificates = Path(settings["cert"] or os.devnull)
    if certificates.is_file():
        options["cert"] = ("SSL_CERT_FILE",)
    elif certificates.is_dir():
        options["cert"] = ("SSL_CERT_DIR",)
    variables = {}
    for option, names in options.items():
        values = settings.get(option, "").split()
        if values and not any(os.environ.get(name) for name in names):
            variables[names[0]] = ("," if option == "find-links" else " ").join(values)
    return variables


if __name__ == "__main__":
    for variable, value in uv_variables().items():
        print(f"{variable}={value}")
