#!/usr/bin/env python3
"""Writes vectors.json: signed requests as they stand on the wire, by signers that Berth did not write.

Most are botocore's. Those marked "hand" are signed by sign() below, which is the SigV4 documentation word for word, for
what botocore can't be made to send (the Amazon ECS agent's websocket, aws-sdk-go-v2's paths). Run it where botocore is
installed; the Go test only reads the result.
"""
import datetime, hashlib, hmac, json, sys
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KEY, SECRET, TOKEN = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI"
NOW = datetime.datetime(2026, 2, 13, 8, 30, 5)
STAMP = NOW.strftime("%Y%m%dT%H%M%SZ")
vectors = []


def wire(method, target, host, headers, body):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{k}: {v}" for k, v in headers if k.lower() not in ("host",)]
    if body and not any(k.lower() == "content-length" for k, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines) + "\r\n\r\n" + body


def add(name, request, token="", service="ecs", region="us-east-1"):
    vectors.append({"name": name, "service": service, "region": region, "token": token, "request": request})


def boto(name, method, url, headers, body="", token="", service="ecs", presign=None, late_headers=()):
    creds = Credentials(KEY, SECRET, token or None)
    r = AWSRequest(method=method, url=url, data=body.encode() or None, headers={})
    for k, v in headers:
        r.headers[k] = v
    with mock.patch.object(botocore.auth, "get_current_datetime", return_value=NOW):
        if presign:
            botocore.auth.SigV4QueryAuth(creds, service, "us-east-1", expires=presign).add_auth(r)
        else:
            botocore.auth.SigV4Auth(creds, service, "us-east-1").add_auth(r)
    u = urlsplit(r.url)
    target = (u.path or "/") + ("?" + u.query if u.query else "")
    add(name, wire(method, target, u.netloc, list(r.headers.items()) + list(late_headers), body), token, service)


def sign(name, method, target, canonical_uri, canonical_query, host, headers, body="", token="", service="ecs", extra=()):
    """headers: what is signed, as (lower-case name, canonical value); extra: wire headers that differ or aren't signed."""
    day = STAMP[:8]
    canon = "\n".join([method, canonical_uri, canonical_query]
                      + [f"{n}:{v}" for n, v in sorted(headers)]
                      + ["", ";".join(sorted(n for n, _ in headers)), hashlib.sha256(body.encode()).hexdigest()])
    scope = f"{day}/us-east-1/{service}/aws4_request"
    sts = "\n".join(["AWS4-HMAC-SHA256", STAMP, scope, hashlib.sha256(canon.encode()).hexdigest()])
    k = ("AWS4" + SECRET).encode()
    for part in (day, "us-east-1", service, "aws4_request"):
        k = hmac.new(k, part.encode(), hashlib.sha256).digest()
    sig = hmac.new(k, sts.encode(), hashlib.sha256).hexdigest()
    auth = f"AWS4-HMAC-SHA256 Credential={KEY}/{scope}, SignedHeaders={';'.join(sorted(n for n, _ in headers))}, Signature={sig}"
    overridden = {k.lower() for k, _ in extra}
    wire_headers = [(n, v) for n, v in headers if n not in overridden] + list(extra) + [("Authorization", auth)]
    add(name, wire(method, target, host, wire_headers, body), token, service)


JSON = ("Content-Type", "application/x-amz-json-1.1")
TARGET = ("X-Amz-Target", "AmazonEC2ContainerServiceV20141113.ListClusters")
ASCII = '{"maxResults": 10}'
LOCAL = "http://127.0.0.1:4566"

boto("AWS CLI, JSON call", "POST", LOCAL + "/", [JSON, TARGET, ("User-Agent", "aws-cli/1.45")], ASCII)
boto("empty path", "POST", LOCAL, [JSON, TARGET], ASCII)
boto("empty body", "POST", LOCAL + "/", [JSON, TARGET])
boto("session token, signed", "POST", LOCAL + "/", [JSON, TARGET], ASCII, token=TOKEN)
boto("host without port", "POST", "https://ecs.us-east-1.amazonaws.com/", [JSON, TARGET], ASCII)
boto("content hash given", "POST", LOCAL + "/", [JSON, TARGET, ("X-Amz-Content-SHA256", hashlib.sha256(ASCII.encode()).hexdigest())], ASCII)
boto("Date instead of X-Amz-Date", "POST", LOCAL + "/", [JSON, TARGET, ("Date", "x")], ASCII)
boto("header values with blanks", "POST", LOCAL + "/", [JSON, TARGET, ("My-Header", "  a   b\t c  ")], ASCII)
boto("repeated header, order of arrival", "POST", LOCAL + "/", [JSON, TARGET, ("My-Header", "value4"), ("My-Header", "value1"), ("My-Header", "value3")], ASCII)
boto("the agent's JSON call", "POST", LOCAL + "/", [
    ("amz-sdk-invocation-id", "f9d1a1c2-6a27-4f6b-9d0e-7e7f2e3d4c5b"), ("amz-sdk-request", "attempt=1; max=3"),
    ("content-length", str(len(ASCII))), ("content-type", "application/x-amz-json-1.1"),
    ("x-amz-target", "AmazonEC2ContainerServiceV20141113.RegisterContainerInstance"),
    ("User-Agent", "Amazon ECS Agent - v1.105.1 (a8b3e7d3) (linux) (+http://aws.amazon.com/ecs/)")], ASCII)
boto("path with dots, slashes and an escape", "GET", LOCAL + "/a%20b//c/../d/./e/", [])
boto("path that climbs over the root", "GET", LOCAL + "/../../x", [])
boto("path with an escaped slash", "GET", LOCAL + "/v2/tags/arn%3Aaws%3Aecs%3Aus-east-1%3A123456789012%3Acluster%2Fdefault", [])
boto("query sorted by name, then value", "GET", LOCAL + "/?b=2&a=3&a=1&A=0&a-b=4&c", [])
boto("query with needless escapes left out", "GET", LOCAL + "/?arn=arn:aws:ecs:us-east-1:1:cluster/default&x=a,b", [])
boto("unclean path, query with needless escapes left out", "GET", LOCAL + "/a//b?x=a:b", [])
boto("query with lower-case hex", "GET", LOCAL + "/?x=a%2fb", [])
boto("query with a raw plus", "GET", LOCAL + "/?version=20.10.24+dfsg1", [])
boto("query with utf-8", "GET", LOCAL + "/?q=%E1%88%B4", [])
boto("presigned GET", "GET", LOCAL + "/?Action=GetCallerIdentity&Version=2011-06-15", [], presign=600, service="sts")
boto("presigned GET, extra signed header", "GET", LOCAL + "/?Action=GetCallerIdentity&Version=2011-06-15", [("x-k8s-aws-id", "prod")], presign=60, service="sts")
boto("presigned GET, session token", "GET", LOCAL + "/?Action=GetCallerIdentity&Version=2011-06-15", [], presign=600, token=TOKEN, service="sts")
boto("headers that a proxy adds", "POST", LOCAL + "/", [JSON, TARGET], ASCII, late_headers=[("X-Forwarded-For", "10.0.0.1"), ("X-Amzn-Trace-Id", "Root=1-2-3"), ("Connection", "keep-alive")])

AUTH_QUERY = f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}%2F{STAMP[:8]}%2Fus-east-1%2Fecs%2Faws4_request&X-Amz-Date={STAMP}&X-Amz-Expires=600&X-Amz-SignedHeaders=host"
sign("presigned GET, token added after signing (hand)", "GET", "/?" + AUTH_QUERY, "/", AUTH_QUERY, "127.0.0.1:4566", [("host", "127.0.0.1:4566")], token=TOKEN)
# The signature and the token go into the query here, not into a header.
line, _, signature = vectors[-1]["request"].partition("\r\nAuthorization: ")
line = line.replace(" HTTP/1.1", "&X-Amz-Security-Token=" + TOKEN.replace("/", "%2F") + "&X-Amz-Signature=" + signature.strip().rpartition("=")[2] + " HTTP/1.1")
vectors[-1]["request"] = line + "\r\n\r\n"

WS_QUERY = "agentHash=a8b3e7d3&agentVersion=1.105.1&clusterArn=default&containerInstanceArn=arn%3Aaws%3Aecs%3Aus-east-1%3A123456789012%3Acontainer-instance%2Fdefault%2F0123456789abcdef0123456789abcdef&dockerVersion=DockerVersion%3A{}20.10.24%2Bdfsg1&protocolVersion=2&sendCredentials=true&seqNum=1"
WS_EXTRA = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]
sign("the agent's websocket: signs a space, sends a plus (hand)", "GET", "/acs/ws?" + WS_QUERY.format("+"), "/acs/ws", WS_QUERY.format("%20"),
     "127.0.0.1:4566", [("host", "127.0.0.1:4566"), ("x-amz-date", STAMP)], extra=WS_EXTRA)
sign("aws-sdk-go-v2 leaves the path as it is (hand)", "GET", "/a//b/../c%20d", "/a//b/../c%2520d", "", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("x-amz-date", STAMP)])
sign("raw path, a space sent as a plus (hand)", "GET", "/a//b?x=a+b", "/a//b", "x=a%20b", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("x-amz-date", STAMP)])
sign("raw path and raw query (hand)", "GET", "/a//b?x=a:b", "/a//b", "x=a:b", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("x-amz-date", STAMP)])
sign("token added after signing (hand)", "POST", "/", "/", "", "127.0.0.1:4566",
     [("content-type", "application/x-amz-json-1.1"), ("host", "127.0.0.1:4566"), ("x-amz-date", STAMP), ("x-amz-target", TARGET[1])],
     body=ASCII, token=TOKEN, extra=[("X-Amz-Security-Token", TOKEN)])
sign("folded header line (hand)", "GET", "/", "/", "", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("my-header", "one two three"), ("x-amz-date", STAMP)], extra=[("My-Header", "one\r\n   two\r\n\tthree")])
sign("signed header that isn't there counts as empty (hand)", "GET", "/", "/", "", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("x-amz-date", STAMP), ("x-gone", "")])
sign("the host's port is part of it (hand)", "GET", "/", "/", "", "berth.internal:80",
     [("host", "berth.internal:80"), ("x-amz-date", STAMP)])
sign("chunked body with signed transfer-encoding (hand)", "GET", "/", "/", "", "127.0.0.1:4566",
     [("host", "127.0.0.1:4566"), ("transfer-encoding", "chunked"), ("x-amz-date", STAMP)])
vectors[-1]["request"] += "0\r\n\r\n"

json.dump({"accessKeyId": KEY, "secretAccessKey": SECRET, "now": STAMP, "vectors": vectors},
          open(sys.argv[1] if len(sys.argv) > 1 else "vectors.json", "w"), indent=1, ensure_ascii=True)
print(len(vectors), "vectors")
