// Adds a list of countries (intl-tel-input) to the phone number field, and checks the number
// with libphonenumber while the user types. The form sends the number in international form.
// The server validates it.
(() => {
  "use strict";

  const field = document.getElementById("verification_phone");
  if (!field || !window.intlTelInput) {
    return;
  }
  const { flags, flags2x, numbers } = document.currentScript.dataset;
  const root = document.documentElement;
  root.style.setProperty("--iti-path-flags-1x", `url("${flags}")`);
  root.style.setProperty("--iti-path-flags-2x", `url("${flags2x}")`);

  // The country of the browser's language: `de-AT` names it, `de` suggests it.
  const guessCountry = () => {
    try {
      const locales = navigator.languages.map((language) => new Intl.Locale(language));
      const locale = locales.find((locale) => locale.region) ?? locales[0]?.maximize();
      return locale?.region?.toLowerCase() ?? "";
    } catch {
      return "";
    }
  };
  const known = new Set(window.intlTelInput.getAllCountries().map((country) => country.iso2));
  const country = guessCountry();
  const list = window.intlTelInput(field, {
    initialCountry: known.has(country) ? country : "",
    separateDialCode: true,
    // Keep invalid characters: a sentence explains what is wrong.
    strictMode: false,
    containerClass: "w-100",
    uiTranslations: {
      // Matches the visible text, without brackets, for voice control (WCAG 2.5.3).
      selectedCountryAriaLabel: "Country of the phone number: ${countryName}, ${dialCode}",
    },
  });

  // A plus starts an international number. The library would open its search instead, which
  // would receive the rest of the number.
  field.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "+") {
        event.stopImmediatePropagation();
      }
    },
    { capture: true },
  );

  // libphonenumber, loaded when the field gets the focus. Null until then, or if loading
  // fails. The list of countries doesn't need it.
  let utils = null;
  const loadUtils = async () => {
    if (utils) {
      return;
    }
    try {
      utils = (await import(numbers)).default;
      update();
    } catch {
      // Only the server validates the number.
    }
  };

  const REFUSED = ["PREMIUM_RATE", "SHARED_COST", "TOLL_FREE", "PAGER", "UAN", "VOICEMAIL"];
  const MOST_DIGITS = 15;

  // Checks the number: a sentence, and whether to show it before the user leaves the field.
  const check = () => {
    const typed = field.value.trim();
    const country = list.getSelectedCountry();
    const verdict = (sentence, rest) => ({ sentence, wrong: true, early: false, ...rest });
    if (typed === "") {
      return verdict("", { wrong: false });
    }
    if (/[^\d\s+.()-]/.test(typed)) {
      return verdict("Use only digits, spaces and + - . ( ).", { early: true });
    }
    if (!country && !typed.startsWith("+")) {
      return verdict("Choose the country, or start with + and its code.");
    }
    if (!utils) {
      const tooLong = typed.replace(/\D/g, "").length > MOST_DIGITS;
      return verdict(tooLong ? "That is too long for a phone number." : "", { early: true });
    }
    const iso2 = country?.iso2;
    const where = country ? `a number in ${country.name}` : "a phone number";
    if (!utils.isValidNumberPrecise(typed, iso2)) {
      switch (country && utils.getValidationError(typed, iso2)) {
        case "TOO_SHORT":
          return verdict(`That is too short for ${where}.`);
        case "TOO_LONG":
          return verdict(`That is too long for ${where}.`, { early: true });
        default:
          return verdict(`That doesn't look like ${where}.`);
      }
    }
    if (REFUSED.includes(utils.getNumberType(typed, iso2))) {
      return verdict("We can't send codes to this kind of number.");
    }
    const number = utils.formatNumber(typed, iso2, "INTERNATIONAL");
    return verdict(`Read as ${number}${country ? `, ${country.name}` : ""}.`, {
      wrong: false,
      early: true,
      number: utils.formatNumber(typed, iso2, "E164"),
    });
  };

  // The sentence replaces the hint under the field, so that the button doesn't move.
  const hint = document.getElementById("verification_phone-hint");
  const status = document.createElement("div");
  status.id = "verification_phone-verdict";
  status.setAttribute("role", "status");
  hint.after(status);
  field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby")} ${status.id}`);
  const show = ({ sentence, wrong }) => {
    status.className = wrong ? "invalid-feedback" : "form-text";
    if (status.textContent !== sentence) {
      status.textContent = sentence;
    }
    hint.hidden = sentence !== "";
  };

  // While the user types, an outdated sentence disappears at once, and an early one appears
  // after a pause. Others, such as "too short", appear when the user leaves the field.
  const PAUSE = 700;
  let pauseTimer;
  const update = () => {
    clearTimeout(pauseTimer);
    if (status.textContent !== check().sentence) {
      show({ sentence: "", wrong: false });
    }
    pauseTimer = setTimeout(() => {
      const result = check();
      if (result.early) {
        show(result);
      }
    }, PAUSE);
  };
  const finish = () => {
    clearTimeout(pauseTimer);
    show(check());
  };

  // The error of the server belongs to the number that was sent.
  const serverError = document.getElementById("verification_phone-error");
  field.addEventListener(
    "input",
    () => {
      serverError?.remove();
      field.classList.remove("is-invalid");
      field.removeAttribute("aria-invalid");
    },
    { once: true },
  );

  field.addEventListener("focus", loadUtils);
  field.addEventListener("input", update);
  field.addEventListener("change", finish);
  field.addEventListener("countrychange", () => {
    loadUtils();
    if (document.activeElement === field) {
      update();
    } else {
      finish();
    }
  });
  if (document.activeElement === field) {
    loadUtils();
  }

  const international = () => {
    const typed = field.value.trim();
    const dialCode = list.getSelectedCountry()?.dialCode ?? "";
    return typed === "" || typed.startsWith("+") || dialCode === ""
      ? typed
      : `+${dialCode} ${typed}`;
  };
  field.form.addEventListener("submit", () => {
    field.value = check().number ?? international();
  });
})();
