-- Over the socket, which asks for no password: whoever mounts it has the database already.
\set password `cat /run/secrets/password`
ALTER ROLE backhaul PASSWORD :'password';
