"use strict";
// Asks for the key that the page takes, and shows the page in its own place. The key is kept nowhere but in that page.

document.getElementById("door").addEventListener("submit", async (event) => {
  event.preventDefault();
  const key = document.getElementById("key").value.trim();
  const said = document.querySelector("#door output");
  try {
    const answer = await fetch("", { headers: { Accept: "text/html", Authorization: `Bearer ${key}` } });
    if (answer.status === 401) throw new Error("This API key is not known here, or it is revoked.");
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const page = await answer.text();
    document.open();
    document.write(page);
    document.close();
    document.getElementById("key").value = key;
  } catch (error) {
    said.textContent = error.message;
  }
});
