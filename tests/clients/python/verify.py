"""A JOSE library verifies access tokens as a resource server does, with the keys of the issuer.

    verify.py LIBRARY ISSUER     LIBRARY: pyjwt, joserfc or jwcrypto
                                 TOKENS in the environment: JSON, [[token, audience], …]

Prints one JSON document: versions, and for each token its claims or the name of the error.
"""

import importlib.metadata
import json
import os
import platform
import sys
import urllib.request

REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read().decode()


def with_pyjwt(jwks_uri, issuer):
    import jwt

    keys = jwt.PyJWKClient(jwks_uri)

    def verify(token, audience):
        key = keys.get_signing_key_from_jwt(token)
        verified = jwt.decode_complete(
            token, key, algorithms=["RS256"], issuer=issuer, audience=audience, options={"require": REQUIRED}
        )
        return verified["header"], verified["payload"]

    return verify


def with_joserfc(jwks_uri, issuer):
    from joserfc import jwt
    from joserfc.jwk import KeySet

    keys = KeySet.import_key_set(json.loads(get(jwks_uri)))

    def verify(token, audience):
        verified = jwt.decode(token, keys, algorithms=["RS256"])
        rules = {name: {"essential": True} for name in REQUIRED}
        rules["iss"]["value"] = issuer
        rules["aud"]["value"] = audience
        jwt.JWTClaimsRegistry(**rules).validate(verified.claims)
        return verified.header, verified.claims

    return verify


def with_jwcrypto(jwks_uri, issuer):
    from jwcrypto.jwk import JWKSet
    from jwcrypto.jwt import JWT

    keys = JWKSet.from_json(get(jwks_uri))

    def verify(token, audience):
        claims = dict.fromkeys(REQUIRED) | {"iss": issuer, "aud": audience}
        verified = JWT(jwt=token, key=keys, algs=["RS256"], check_claims=claims, expected_type="JWS")
        return json.loads(verified.header), json.loads(verified.claims)

    return verify


def verdict(verify, token, audience):
    try:
        header, claims = verify(token, audience)
    except Exception as error:
        return type(error).__name__
    assert header["typ"] == "at+jwt"
    return claims


def main(library, issuer):
    metadata = json.loads(get(f"{issuer}/.well-known/oauth-authorization-server"))
    verify = globals()[f"with_{library}"](metadata["jwks_uri"], metadata["issuer"])
    return {
        "client": f"{library} {importlib.metadata.version(library)} on Python {platform.python_version()}",
        "verdicts": [verdict(verify, *token) for token in json.loads(os.environ["TOKENS"])],
    }


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
