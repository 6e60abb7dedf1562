{{/* At most 55 characters: names of Services and of pods' labels have 63, and -migrate is added. */}}
{{- define "rally-api-keys.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains "rally-api-keys" .Release.Name -}}
{{- .Release.Name -}}
{{- else -}}
{{- printf "%s-rally-api-keys" (.Release.Name | trunc 40 | trimSuffix "-") -}}
{{- end -}}
{{- end }}

{{- define "rally-api-keys.selector" -}}
app.kubernetes.io/name: rally-api-keys
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "rally-api-keys.serviceSelector" -}}
{{ include "rally-api-keys.selector" . }}
app.kubernetes.io/component: service
{{- end }}

{{- define "rally-api-keys.labels" -}}
{{ include "rally-api-keys.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "rally-api-keys.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "rally-api-keys.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "rally-api-keys.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The name of the Service's port. */}}
{{- define "rally-api-keys.portName" -}}
{{ if .Values.tls.secretName }}https{{ else }}http{{ end }}
{{- end }}

{{/* The settings as text. A number of a values file is a float, and would be 1e+07. */}}
{{- define "rally-api-keys.settings" -}}
{{- $settings := deepCopy .Values.settings -}}
{{- if .Values.tls.secretName -}}
{{- $_ := set $settings "TLS_CERT_FILE" "/etc/rally-api-keys/tls/tls.crt" -}}
{{- $_ := set $settings "TLS_KEY_FILE" "/etc/rally-api-keys/tls/tls.key" -}}
{{- end -}}
{{- if .Values.tls.clientCaSecretName -}}
{{- $_ := set $settings "TLS_CLIENT_CA_FILE" "/etc/rally-api-keys/client-ca/ca.crt" -}}
{{- end -}}
{{- range $name, $value := $settings }}
{{- if and (kindIs "float64" $value) (eq (floor $value) $value) }}
{{ $name }}: {{ int64 $value | quote }}
{{- else if not (kindIs "invalid" $value) }}
{{ $name }}: {{ $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* What the pods of the service and of the migration have in common. */}}
{{- define "rally-api-keys.podSpec" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "rally-api-keys.containerSpec" -}}
image: {{ include "rally-api-keys.image" . | quote }}
{{- with .Values.image.pullPolicy }}
imagePullPolicy: {{ . }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
{{- end }}
