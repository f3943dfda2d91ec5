package operations

import (
	"github.com/openberth/berth/api/ecsapi"
	"github.com/openberth/berth/internal/wire"
)

func (s *Service) taskHandlers() []wire.Handler {
	return []wire.Handler{
		wire.Handle(ecsapi.RunTask, s.RunTask),
		wire.Handle(ecsapi.StartTask, s.StartTask),
		wire.Handle(ecsapi.StopTask, s.StopTask),
		wire.Handle(ecsapi.DescribeTasks, s.DescribeTasks),
		wire.Handle(ecsapi.ListTasks, s.ListTasks),
	}
}
