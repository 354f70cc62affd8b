#!/bin/bash
# Exit code 0 if the proxy has a gateway to send calls to.
exec 3<>/dev/tcp/127.0.0.1/8080 || exit 1
printf 'GET /proxy/healthz HTTP/1.0\r\n\r\n' >&3
read -r -t 4 _ status _ <&3 && [ "$status" = 200 ]
