// The field for the code: sends itself once the code is complete, and takes it from
// the text message where the browser can (WebOTP). Without this script there is the
// button.
(() => {
  "use strict";

  const field = document.getElementById("token");
  if (!field) {
    return;
  }
  const button = field.form.querySelector("button[type=submit]");
  // Twilio Verify's own length. Codes of another length are sent by the button.
  const complete = /^\d{6}$/;
  const digits = () => field.value.replace(/[\s-]/g, "");

  const send = () => {
    if (complete.test(digits())) {
      field.form.requestSubmit(button);
    }
  };
  field.addEventListener("input", send);

  if ("OTPCredential" in window) {
    const ended = new AbortController();
    field.form.addEventListener("submit", () => ended.abort());
    navigator.credentials
      .get({ otp: { transport: ["sms"] }, signal: ended.signal })
      .then((text) => {
        field.value = text.code;
        send();
      })
      .catch(() => {
        // None came, or the person declined: the field is still there.
      });
  }
})();
