#!/bin/bash
# varvel's commands for the agent on this VM: /var/vcap/jobs/varvel/bin/varvel status
export VARVEL_CONFIG=/var/vcap/jobs/varvel/config/varvel.yml
exec /var/vcap/packages/varvel/bin/varvel "$@"
