package agentlink

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
)

// ACSHandshake is what the agent says of itself in the query of the ACS websocket's URL.
type ACSHandshake struct {
	AgentHash            string
	AgentVersion         string
	Cluster              string // "clusterArn" on the wire, though agents put the name there as often
	ContainerInstanceARN string
	DockerVersion        string // "DockerVersion: 20.10.24"
	ProtocolVersion      int    // 2
	SeqNum               int64  // always 1
	// SendCredentials asks for the credentials of all live tasks: the agent has just started and keeps none on disk.
	SendCredentials bool
}

// Query writes h as the URL's query.
func (h ACSHandshake) Query() url.Values {
	return url.Values{
		"agentHash": {h.AgentHash}, "agentVersion": {h.AgentVersion}, "clusterArn": {h.Cluster},
		"containerInstanceArn": {h.ContainerInstanceARN}, "dockerVersion": {h.DockerVersion},
		"protocolVersion": {strconv.Itoa(h.ProtocolVersion)}, "seqNum": {strconv.FormatInt(h.SeqNum, 10)},
		"sendCredentials": {strconv.FormatBool(h.SendCredentials)},
	}
}

// ParseACSHandshake reads such a query; what is missing or can't be read stays zero.
func ParseACSHandshake(q url.Values) ACSHandshake {
	h := ACSHandshake{AgentHash: q.Get("agentHash"), AgentVersion: q.Get("agentVersion"), Cluster: q.Get("clusterArn"),
		ContainerInstanceARN: q.Get("containerInstanceArn"), DockerVersion: q.Get("dockerVersion")}
	h.ProtocolVersion, _ = strconv.Atoi(q.Get("protocolVersion"))
	h.SeqNum, _ = strconv.ParseInt(q.Get("seqNum"), 10, 64)
	h.SendCredentials, _ = strconv.ParseBool(q.Get("sendCredentials"))
	return h
}

// TCSHandshake is the same for the TCS websocket, with other names for the same things.
type TCSHandshake struct {
	AgentHash            string
	AgentVersion         string
	Cluster              string // name or ARN
	ContainerInstanceARN string
	DockerVersion        string // "20.10.24"
}

// Query writes h as the URL's query.
func (h TCSHandshake) Query() url.Values {
	return url.Values{
		"agentHash": {h.AgentHash}, "agentVersion": {h.AgentVersion}, "cluster": {h.Cluster},
		"containerInstance": {h.ContainerInstanceARN}, "dockerVersion": {h.DockerVersion},
	}
}

// ParseTCSHandshake reads such a query.
func ParseTCSHandshake(q url.Values) TCSHandshake {
	return TCSHandshake{AgentHash: q.Get("agentHash"), AgentVersion: q.Get("agentVersion"), Cluster: q.Get("cluster"),
		ContainerInstanceARN: q.Get("containerInstance"), DockerVersion: q.Get("dockerVersion")}
}

// Refusals of a handshake that agents recognise.
const (
	RefusalServerException   = "ServerException"
	RefusalBadRequest        = "BadRequestException"
	RefusalInvalidCluster    = "InvalidClusterException"
	RefusalInvalidInstance   = "InvalidInstanceException"
	RefusalAccessDenied      = "AccessDeniedException"
	RefusalInactiveInstance  = "InactiveInstanceException" // the agent takes itself for deregistered
	maxRefusalMessage        = 1024
	unreadableRefusalMessage = "unreadable refusal: "
)

// EncodeRefusal makes the body of an answer other than 101: {"InactiveInstanceException":"..."}.
func EncodeRefusal(code, message string) []byte {
	b, err := json.Marshal(map[string]string{code: message})
	if err != nil {
		panic(err) // strings always marshal
	}
	return b
}

// DecodeRefusal reads it; a body of another form (a proxy's page, say) has no code and comes back shortened.
func DecodeRefusal(body []byte) (code, message string) {
	var typed struct {
		Type    string          `json:"type"`
		Message json.RawMessage `json:"message"`
	}
	if json.Unmarshal(body, &typed) == nil && typed.Type != "" {
		return typed.Type, string(typed.Message)
	}
	var m map[string]string
	if json.Unmarshal(body, &m) == nil && len(m) == 1 {
		for code, message = range m {
			return code, message
		}
	}
	text := strings.ToValidUTF8(string(body), "?")
	if len(text) > maxRefusalMessage {
		text = strings.ToValidUTF8(text[:maxRefusalMessage], "")
	}
	return "", unreadableRefusalMessage + text
}
