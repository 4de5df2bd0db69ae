const REASONS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'it ended the connection',
  EPIPE: 'it ended the connection',
  ENOENT: 'there is no such socket',
  EACCES: 'permission denied',
  ENOTFOUND: 'its host name is not found in DNS',
  EAI_AGAIN: 'its host name cannot be looked up in DNS now',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'there is no route to it',
  ENETUNREACH: 'there is no route to it',
  EPROTOTYPE:
    'it is a datagram socket, which varvel cannot write to; let the receiver listen on a stream socket (rsyslog: imptcp) or UDP',
  EMSGSIZE: 'the datagram is larger than the network takes',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name; see server_name',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not trusted; see ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not trusted; see ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not trusted; see ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not trusted; see ca',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

/** An error of Node's on the way to a receiver, as the end of a sentence: at most some 200 characters. */
export function reasonOf(error: unknown): string {
  // Several addresses, each with its own error.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  const known = REASONS[code];
  if (known !== undefined) return `${known} (${code})`;
  // OpenSSL's are "40A7…:error:0A000412:SSL routines:ssl3_read_bytes:sslv3 alert bad certificate:../deps/…:1605:…".
  const alert = /:SSL routines:[^:]*:([^:]+):/.exec(error.message)?.[1];
  if (alert !== undefined) return `TLS failed: ${alert}`;
  return error.message.split('\n')[0]?.slice(0, 200) ?? code;
}
