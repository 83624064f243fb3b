{{/* Bytes of a size such as 20Gi. */}}
{{- define "pellucid.bytes" -}}
{{- $unit := regexFind "[KMGT]i$" . -}}
{{- $bytes := dict "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 "Ti" 1099511627776 -}}
{{ mul (trimSuffix $unit . | int64) (get $bytes $unit) }}
{{- end -}}

{{/* Whole cores of an amount such as 2, 1.5 or 500m. */}}
{{- define "pellucid.cores" -}}
{{- $cpu := toString . -}}
{{- $cores := hasSuffix "m" $cpu | ternary (divf (trimSuffix "m" $cpu | float64) 1000) (float64 $cpu) -}}
{{ max 1 (ceil $cores | int) }}
{{- end -}}

{{- define "pellucid.cpuRequest" -}}
{{ dig "requests" "cpu" (dig "limits" "cpu" "" .Values.resources) .Values.resources }}
{{- end -}}

{{- define "pellucid.mostReplicas" -}}
{{ ternary .Values.replicaCount .Values.autoscaling.maxReplicas (eq .Values.autoscaling.kind "none") }}
{{- end -}}

{{/* The state can be mounted by several servers, and PostgreSQL keeps their evaluations. */}}
{{- define "pellucid.stateIsShared" -}}
{{- $claim := .Values.state.persistence -}}
{{- if and $claim.enabled (has "ReadWriteMany" $claim.accessModes) .Values.postgresql.existingSecret -}}true{{- end -}}
{{- end -}}

{{- define "pellucid.drainSeconds" -}}
{{ dig "drain_seconds" 30 .Values.settings | float64 | ceil | int }}
{{- end -}}

{{/* From leaving the Services to the last call's end. */}}
{{- define "pellucid.leaveSeconds" -}}
{{- $delay := dig "drain_delay_seconds" 0 .Values.settings | float64 | ceil | int -}}
{{ add .Values.preStopSeconds $delay (include "pellucid.drainSeconds" .) }}
{{- end -}}

{{- define "pellucid.gracePeriod" -}}
{{- $computed := add (include "pellucid.leaveSeconds" .) 10 -}}
{{ default $computed .Values.terminationGracePeriodSeconds | int }}
{{- end -}}
