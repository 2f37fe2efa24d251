// The field for a phone number, with a list of countries (intl-tel-input). What is
// sent is the number in international form, as somebody without this script types it;
// the server alone judges it.
(() => {
  "use strict";

  const field = document.getElementById("verification_phone");
  if (!field || !window.intlTelInput) {
    return;
  }
  const { flags, flags2x } = document.currentScript.dataset;
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

  const dialCode = () => list.getSelectedCountry()?.dialCode ?? "";
  const international = () => {
    const typed = field.value.trim();
    return typed === "" || typed.startsWith("+") || dialCode() === ""
      ? typed
      : `+${dialCode()} ${typed}`;
  };
  field.form.addEventListener("submit", () => {
    field.value = international();
  });

  const hint = document.createElement("div");
  hint.className = "form-text";
  hint.setAttribute("role", "status");
  field.closest(".mb-3").append(hint);
  field.addEventListener("input", () => {
    const number = international();
    const digits = number.replace(/\D/g, "").length;
    if (/[^\d\s+.()-]/.test(number)) {
      hint.textContent = "A number has digits, blanks and + - . ( ) only.";
    } else if (digits > 15) {
      hint.textContent = "That is too long for a phone number.";
    } else {
      hint.textContent = "";
    }
  });
})();
