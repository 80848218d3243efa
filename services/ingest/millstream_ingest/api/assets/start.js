"use strict";

// In a file of its own: the page's Content-Security-Policy allows no inline script.
SwaggerUIBundle({
  url: "/openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  // The default would send the document to an online validator.
  validatorUrl: null,
});
