package observe

import (
	"bytes"
	"encoding/json"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestLoggerFormats(t *testing.T) {
	var b bytes.Buffer
	log, err := NewLogger(&b, FormatText, "info")
	if err != nil {
		t.Fatal(err)
	}
	log.Debug("not shown")
	log.Info("started", KeyAddress, "127.0.0.1:4566")
	if !regexp.MustCompile(`\Atime=\d\d:\d\d:\d\d\.\d{3} level=INFO msg=started address=127.0.0.1:4566\n\z`).MatchString(b.String()) {
		t.Errorf("text: %q", b.String())
	}

	for _, format := range []string{FormatJSON, FormatAuto, ""} { // a buffer is no terminal
		b.Reset()
		log, err = NewLogger(&b, format, "debug")
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("shown", KeyTask, "t1")
		var record map[string]any
		if err := json.Unmarshal(b.Bytes(), &record); err != nil || record["msg"] != "shown" || record["task"] != "t1" {
			t.Errorf("%q: %q %v", format, b.String(), err)
		}
	}
}

func TestLoggerRefusesWhatItDoesNotKnow(t *testing.T) {
	if _, err := NewLogger(&bytes.Buffer{}, "xml", "info"); err == nil || !strings.Contains(err.Error(), `"xml" isn't one of auto, text, json`) {
		t.Error(err)
	}
	if _, err := NewLogger(&bytes.Buffer{}, FormatJSON, "loud"); err == nil || !strings.Contains(err.Error(), `"loud" isn't one of debug`) {
		t.Error(err)
	}
}

func TestMetricsHaveRuntimeAndVersion(t *testing.T) {
	w := httptest.NewRecorder()
	MetricsHandler(NewRegistry("1.2.3")).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{"go_goroutines ", "process_resident_memory_bytes ", `berth_build_info{version="1.2.3"} 1`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in\n%s", want, w.Body)
		}
	}
}

func TestDebugHandlerServesProfiles(t *testing.T) {
	for path, want := range map[string]string{"/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile:", "/debug/pprof/cmdline": "observe"} {
		w := httptest.NewRecorder()
		DebugHandler().ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		if w.Code != 200 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}
