package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/openberth/berth/internal/agentlink"
	"github.com/openberth/berth/internal/ecs"
	"github.com/openberth/berth/internal/ecs/state"
	"github.com/openberth/berth/internal/store"
	"github.com/openberth/berth/internal/store/memory"
)

// BenchmarkDelivery measures, over a real socket, from the start of the commit that places a task (in a store in memory)
// until the agent has its payload; then the same for 100 tasks in one commit.
func BenchmarkDelivery(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprintf("tasks=%d", n), func(b *testing.B) {
			log := slog.New(slog.DiscardHandler)
			ctx, cancel := context.WithCancel(context.Background())
			st := store.Open(memory.New(), store.Options{Logger: log}, state.Tables()...)
			server := New(Config{Store: st, Scope: scope, Now: time.Now, Log: log})
			done := make(chan struct{}, 2)
			go func() { st.Run(ctx); done <- struct{}{} }()
			go func() { st.Lead(ctx, server.Run); done <- struct{}{} }()
			<-st.Ready()
			front := httptest.NewServer(server.Handler())
			defer func() { cancel(); <-done; <-done; front.Close() }()
			put := func(fn func(tx *store.Tx)) {
				if _, err := st.Update(ctx, func(tx *store.Tx) error { fn(tx); return nil }); err != nil {
					b.Fatal(err)
				}
			}
			put(func(tx *store.Tx) {
				state.TaskDefinitions.Put(tx, &ecs.TaskDefinition{Family: "web", Revision: 1,
					ContainerDefinitions: []ecs.ContainerDefinition{{Name: "app", Image: "web:1"}}})
				state.Instances.Put(tx, &ecs.ContainerInstance{ID: "ci", Cluster: "default", Status: ecs.InstanceActive})
			})
			var ws *websocket.Conn
			for { // until Run runs
				var err error
				ws, _, err = websocket.DefaultDialer.Dial(strings.Replace(front.URL, "http", "ws", 1)+"/acs/ws?"+acsQuery(nil).Encode(), nil)
				if err == nil {
					break
				}
			}
			defer ws.Close()
			i := 0
			for b.Loop() {
				put(func(tx *store.Tx) {
					for range n {
						i++
						state.Tasks.Put(tx, &ecs.Task{ID: fmt.Sprint("t", i), Cluster: "default", ContainerInstance: "ci",
							TaskDefinition: ecs.TaskDefinitionID{Family: "web", Revision: 1}, DesiredStatus: ecs.TaskRunning, LastStatus: ecs.TaskPending})
					}
				})
				for got := 0; got < n; {
					_, frame, err := ws.ReadMessage()
					if err != nil {
						b.Fatal(err)
					}
					m, err := agentlink.Decode(frame)
					if err != nil {
						b.Fatal(err)
					}
					p, ok := m.(*agentlink.PayloadMessage)
					if !ok {
						continue
					}
					got += len(p.Tasks)
					ack, _ := agentlink.Encode(&agentlink.AckRequest{MessageID: p.MessageID})
					ws.WriteMessage(websocket.TextMessage, ack)
				}
			}
		})
	}
}
