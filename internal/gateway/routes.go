package gateway

import (
	"net/http"
	"strings"

	"github.com/openberth/berth/internal/wire"
	"github.com/openberth/berth/internal/wire/sigv4"
)

// route is a Service, made ready for look-ups.
type route struct {
	api      *wire.Service
	protocol wire.Protocol
	handlers map[string]wire.Handler
}

type routes struct {
	byTarget      map[string]*route   // by X-Amz-Target up to the dot
	bySigningName map[string][]*route // of services that don't say what they are by a target
	signingNames  []string
}

func newRoutes(services []Service) routes {
	rs := routes{byTarget: map[string]*route{}, bySigningName: map[string][]*route{}}
	for _, s := range services {
		rt := &route{api: s.API, protocol: s.Protocol, handlers: map[string]wire.Handler{}}
		for _, h := range s.Handlers {
			if h.Service != s.API {
				panic("gateway: " + h.Operation + " is an operation of " + h.Service.ID + ", not of " + s.API.ID)
			}
			if _, twice := rt.handlers[h.Operation]; twice {
				panic("gateway: two handlers for " + s.API.ID + " " + h.Operation)
			}
			rt.handlers[h.Operation] = h
		}
		if s.API.TargetPrefix != "" && s.API.Protocol == "json" {
			rs.byTarget[s.API.TargetPrefix] = rt
		} else {
			rs.bySigningName[s.API.SigningName] = append(rs.bySigningName[s.API.SigningName], rt)
		}
		rs.signingNames = append(rs.signingNames, s.API.SigningName)
	}
	return rs
}

// find tells which service r is for, nil for none of ours: by X-Amz-Target; else by the signing name, and among the
// protocols of one service the one that can make out an operation.
func (rs routes) find(r *http.Request) *route {
	if target := r.Header.Get("X-Amz-Target"); target != "" {
		prefix, _, _ := strings.Cut(target, ".")
		return rs.byTarget[prefix]
	}
	scope, ok := sigv4.PeekScope(r)
	if !ok {
		return nil
	}
	candidates := rs.bySigningName[scope.Service]
	for _, rt := range candidates {
		if _, err := rt.protocol.Route(r); err == nil {
			return rt
		}
	}
	if len(candidates) > 0 {
		return candidates[0] // it says what is wrong with the request
	}
	for _, rt := range rs.byTarget {
		if rt.api.SigningName == scope.Service {
			return rt // as above: the target is missing
		}
	}
	return nil
}
