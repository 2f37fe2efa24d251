// The field for a phone number, with a list of countries (intl-tel-input) and, once
// somebody comes to it, libphonenumber's word on what is typed. What is sent is the
// number in international form, as somebody without this script types it; the server
// alone judges it.
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

  // The country of the browser's language: `de-AT` says it, `de` suggests it.
  const guess = () => {
    try {
      const locales = navigator.languages.map((language) => new Intl.Locale(language));
      const said = locales.find((locale) => locale.region) ?? locales[0]?.maximize();
      return said?.region?.toLowerCase() ?? "";
    } catch {
      return "";
    }
  };
  const known = new Set(window.intlTelInput.getAllCountries().map((country) => country.iso2));
  const country = guess();
  const list = window.intlTelInput(field, {
    initialCountry: known.has(country) ? country : "",
    separateDialCode: true,
    // Nothing that was typed is swallowed: a sentence says what is wrong with it.
    strictMode: false,
    containerClass: "w-100",
    uiTranslations: {
      // The dial code as it is seen, without the list's own brackets: who speaks to
      // the browser says what they see (WCAG 2.5.3).
      selectedCountryAriaLabel: "Country of the phone number: ${countryName}, ${dialCode}",
    },
  });

  // A typed plus is where a number in international form begins. To the list it is a
  // way into its search, which would swallow the rest of the number.
  field.addEventListener(
    "keydown",
    (event) => {
      if (event.key === "+") {
        event.stopImmediatePropagation();
      }
    },
    { capture: true },
  );

  // What knows numbers: none before somebody comes to the field, and none for good where
  // it cannot be had. The list of countries does not need it.
  let utils = null;
  const learn = async () => {
    if (utils) {
      return;
    }
    try {
      utils = (await import(numbers)).default;
      follow();
    } catch {
      // Then only the server judges.
    }
  };

  const REFUSED = ["PREMIUM_RATE", "SHARED_COST", "TOLL_FREE", "PAGER", "UAN", "VOICEMAIL"];
  const MOST_DIGITS = 15;

  // What there is to say of a number: a sentence, and whether typing on can change it.
  const judge = () => {
    const typed = field.value.trim();
    const country = list.getSelectedCountry();
    const said = (sentence, rest) => ({ sentence, wrong: true, early: false, ...rest });
    if (typed === "") {
      return said("", { wrong: false });
    }
    if (/[^\d\s+.()-]/.test(typed)) {
      return said("A number has digits, blanks and + - . ( ) only.", { early: true });
    }
    if (!country && !typed.startsWith("+")) {
      return said("Choose the country, or begin with + and its code.");
    }
    if (!utils) {
      const tooLong = typed.replace(/\D/g, "").length > MOST_DIGITS;
      return said(tooLong ? "That is too long for a phone number." : "", { early: true });
    }
    const iso2 = country?.iso2;
    const where = country ? `a number in ${country.name}` : "a phone number";
    if (!utils.isValidNumberPrecise(typed, iso2)) {
      switch (country && utils.getValidationError(typed, iso2)) {
        case "TOO_SHORT":
          return said(`That is too short for ${where}.`);
        case "TOO_LONG":
          return said(`That is too long for ${where}.`, { early: true });
        default:
          return said(`That does not look like ${where}.`);
      }
    }
    if (REFUSED.includes(utils.getNumberType(typed, iso2))) {
      return said("We cannot send codes to a number of this kind.");
    }
    const number = utils.formatNumber(typed, iso2, "INTERNATIONAL");
    return said(`Read as ${number}${country ? `, ${country.name}` : ""}.`, {
      wrong: false,
      early: true,
      number: utils.formatNumber(typed, iso2, "E164"),
    });
  };

  // The sentence takes the place of the hint under the field, so that no button moves
  // away from under a finger.
  const hint = document.getElementById("verification_phone-hint");
  const verdict = document.createElement("div");
  verdict.id = "verification_phone-verdict";
  verdict.setAttribute("role", "status");
  hint.after(verdict);
  field.setAttribute("aria-describedby", `${field.getAttribute("aria-describedby")} ${verdict.id}`);
  const say = ({ sentence, wrong }) => {
    verdict.className = wrong ? "invalid-feedback" : "form-text";
    if (verdict.textContent !== sentence) {
      verdict.textContent = sentence;
    }
    hint.hidden = sentence !== "";
  };

  // While somebody types: what is no longer so goes at once, and what typing on cannot
  // better is said when they pause. That a number is too short is said when they leave.
  const PAUSE = 700;
  let pausing;
  const follow = () => {
    clearTimeout(pausing);
    if (verdict.textContent !== judge().sentence) {
      say({ sentence: "", wrong: false });
    }
    pausing = setTimeout(() => {
      const judged = judge();
      if (judged.early) {
        say(judged);
      }
    }, PAUSE);
  };
  const conclude = () => {
    clearTimeout(pausing);
    say(judge());
  };

  // What the server said was of the number that was sent.
  const answer = document.getElementById("verification_phone-error");
  field.addEventListener(
    "input",
    () => {
      answer?.remove();
      field.classList.remove("is-invalid");
      field.removeAttribute("aria-invalid");
    },
    { once: true },
  );

  field.addEventListener("focus", learn);
  field.addEventListener("input", follow);
  field.addEventListener("change", conclude);
  field.addEventListener("countrychange", () => {
    learn();
    if (document.activeElement === field) {
      follow();
    } else {
      conclude();
    }
  });
  if (document.activeElement === field) {
    learn();
  }

  const international = () => {
    const typed = field.value.trim();
    const dialCode = list.getSelectedCountry()?.dialCode ?? "";
    return typed === "" || typed.startsWith("+") || dialCode === ""
      ? typed
      : `+${dialCode} ${typed}`;
  };
  field.form.addEventListener("submit", () => {
    field.value = judge().number ?? international();
  });
})();
