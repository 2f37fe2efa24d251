// Sends the code once it is complete, and reads it from the text message where the browser
// supports WebOTP. Without this script, the button sends it.
(() => {
  "use strict";

  const field = document.getElementById("token");
  if (!field) {
    return;
  }
  const button = field.form.querySelector("button[type=submit]");
  // Twilio Verify's default length. Codes of another length need the button.
  const complete = /^\d{6}$/;
  const digits = () => field.value.replace(/[\s-]/g, "");

  const send = () => {
    if (complete.test(digits())) {
      field.form.requestSubmit(button);
    }
  };
  field.addEventListener("input", send);

  if ("OTPCredential" in window) {
    const submitted = new AbortController();
    field.form.addEventListener("submit", () => submitted.abort());
    navigator.credentials
      .get({ otp: { transport: ["sms"] }, signal: submitted.signal })
      .then((credential) => {
        field.value = credential.code;
        send();
      })
      .catch(() => {
        // No code arrived, or the user declined. The field still works.
      });
  }
})();
