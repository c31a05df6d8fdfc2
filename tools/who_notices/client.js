// Node's TLS: a line "PORT ROOT [CRLS]" in, "accepts" or "refuses REASON" out.
"use strict";

const fs = require("node:fs");
const readline = require("node:readline");
const tls = require("node:tls");

function call(port, root, crls) {
  return new Promise((resolve) => {
    const options = { host: "localhost", port, servername: "localhost", ca: fs.readFileSync(root) };
    if (crls) options.crl = fs.readFileSync(crls);
    const socket = tls.connect(options, () => {
      resolve("accepts");
      socket.destroy();
    });
    socket.on("error", (error) => resolve(`refuses ${error.message.replaceAll("\n", " ")}`));
  });
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const [port, root, crls] = line.split(" ");
    console.log(await call(Number(port), root, crls));
  }
})();
