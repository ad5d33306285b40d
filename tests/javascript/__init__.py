"""Clients in JavaScript, with packages from npm: run by ``make javascript-test``, where there is a Node.js."""
