#!/usr/bin/env python3
"""A headless Chromium that looks at one page: page_browser.py PAGE.html FOLDER writes screenshots of it

in both colour schemes, as wide as a phone and as a desk. Nothing of the user's profile is read or
written, and nothing is fetched.
"""
import contextlib
import json
import os
import shutil
import sys
import tempfile

PHONE, DESK = 390, 1280


class NoBrowser(RuntimeError):
    """What is missing, and the cure."""


def _selenium():
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as error:
        raise NoBrowser("%s has no selenium: run ci/setup --test (it installs python3-selenium, "
                        "chromium and chromium-driver)" % sys.executable) from error
    return webdriver, Service


def _program(names):
    for name in names:
        path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/bin:/usr/lib/chromium")
        if path:
            return path
    raise NoBrowser("there is no %s: run ci/setup --test (it installs chromium and "
                    "chromium-driver)" % " or ".join(names))


class Browser:
    """One window. `log()` is what the page said and asked for since the last time."""

    def __init__(self, folder, sockets, script=True):
        webdriver, Service = _selenium()
        options = webdriver.ChromeOptions()
        options.binary_location = _program(("chromium", "chromium-browser", "google-chrome"))
        for argument in ("headless=new", "no-sandbox", "disable-dev-shm-usage", "disable-gpu",
                         "hide-scrollbars", "no-first-run", "disable-background-networking",
                         "disable-component-update", "disable-sync", "disable-extensions",
                         "force-device-scale-factor=1", "user-data-dir=" + folder):
            options.add_argument("--" + argument)
        if not script:
            options.add_experimental_option(
                "prefs", {"profile.managed_default_content_settings.javascript": 2})
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        environment = {**os.environ, "HOME": folder, "XDG_CONFIG_HOME": folder,
                       "XDG_CACHE_HOME": folder, "TMPDIR": sockets}
        self.driver = webdriver.Chrome(options=options, service=Service(
            _program(("chromedriver",)), env=environment))
        self.driver.set_page_load_timeout(60)
        self.driver.set_script_timeout(120)

    def open(self, path, fragment=""):
        self.driver.get("about:blank")
        self.log()
        self.driver.get("file://" + os.path.abspath(path) + fragment)

    def screen(self, width, height=900, dark=False, motion=True):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion",
             "value": "no-preference" if motion else "reduce"}]})

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys):
        """Types them, wherever the focus is."""
        from selenium.webdriver import ActionChains
        ActionChains(self.driver, duration=0).send_keys(*keys).perform()

    def wait(self, script, seconds=60):
        """Until the script returns something true. TimeoutException."""
        from selenium.webdriver.support.ui import WebDriverWait
        WebDriverWait(self.driver, seconds, 0.05).until(lambda driver: driver.execute_script(script))

    def log(self):
        """(messages of the console, URLs that were asked for)."""
        said = ["%(level)s %(message)s" % entry for entry in self.driver.get_log("browser")]
        asked = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(("data:", "about:")):
                    asked.append(url.partition("#")[0])
        return said, asked

    def shot(self, path, whole=True):
        """A PNG; `whole`: of the page from top to bottom, else of what the window shows."""
        import base64
        data = self.driver.execute_cdp_cmd("Page.captureScreenshot", {
            "format": "png", "captureBeyondViewport": whole})
        with open(path, "wb") as file:
            file.write(base64.b64decode(data["data"]))

    def close(self):
        self.driver.quit()


@contextlib.contextmanager
def browser(script=True):
    """With a profile of its own, below TEST_TMPDIR in a test."""
    with tempfile.TemporaryDirectory(prefix="chromium-", dir=os.environ.get("TEST_TMPDIR"),
                                     ignore_cleanup_errors=True) as folder, \
            tempfile.TemporaryDirectory(prefix="c", dir="/tmp", ignore_cleanup_errors=True) as sockets:
        # The names of sockets are short: 108 bytes, and Bazel's folders are deep.
        made = Browser(folder, sockets, script)
        try:
            yield made
        finally:
            made.close()


def main(arguments):
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with browser() as window:
            for width, name in ((PHONE, "phone"), (DESK, "desk")):
                for dark in (False, True):
                    window.screen(width, dark=dark)
                    window.open(arguments[0])
                    path = os.path.join(arguments[1], "%s-%s.png" % (
                        name, "dark" if dark else "light"))
                    window.shot(path)
                    print(path)
    except NoBrowser as error:
        print("page_browser.py: %s" % error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
