package gateway

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	connections *prometheus.GaugeVec
}

func newMetrics(r *prometheus.Registry) *metrics {
	m := &metrics{
		// Its count is the number of requests. Labels come from the model and from fault codes in the source, never from what
		// a client sends: clients can't add series.
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "berth_api_request_seconds",
			Help:    "API calls by service, operation and code (OK, or the error's), and how long they took.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"service", "operation", "code"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "berth_api_requests_in_flight",
			Help: "API calls that are being served.",
		}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "berth_connections",
			Help: "Connections that are being served outside the API, such as agents' websockets.",
		}, []string{"mount"}),
	}
	r.MustRegister(m.requests, m.inFlight, m.connections)
	return m
}
