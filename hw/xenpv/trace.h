#include "trace/trace-hw_xenpv.h"
